import { expect, test } from 'vitest'
import { describeExit, exitCodes, type HostExit } from '../../electron/host/exit-causes'

const cases: [HostExit, string[], RegExp, RegExp][] = [
  [{ signal: 'SIGILL' }, [], /instruction that this processor does not have/, /MOEBIUS_ISA/],
  [{ signal: 'SIGBUS' }, [], /file shrank/, /disk/],
  [{ signal: 'SIGKILL' }, [], /out-of-memory killer/, /shorter context/],
  [{ code: 137 }, [], /out-of-memory killer/, /smaller model/],
  [{ signal: 'SIGTRAP' }, [], /Chromium's allocator/, /defect/],
  [{ signal: 'SIGSEGV' }, [], /not its own/, /conversation is safe/],
  [{ code: 11 }, [], /SIGSEGV/, /report/],
  [{ code: 139 }, [], /SIGSEGV/, /report/],
  [{ signal: 'SIGABRT' }, ['loading', '[matmul] expected [4, 8], got [4, 7]', ''], /failed check.*\[matmul\] expected \[4, 8\]/, /report/],
  [{ code: 0xc0000409 }, [], /failed check/, /report/],
  [{ code: -1073740791 }, [], /failed check/, /report/],
  [{ code: 0xc0000005 }, [], /access violation/, /report/],
  [{ code: 0xc000001d }, [], /processor does not have/, /MOEBIUS_ISA/],
  [{ code: 0xc00000fd }, [], /stack overflow/, /report/],
  [{ code: 0xc0000135 }, [], /DLL/, /runtime/],
  [{ code: 0xc0000017 }, [], /commit/, /page file/],
  [{ code: 1 }, ['CUDA error 2: out of memory'], /memory is full/, /fewer experts/],
  [{ code: 1 }, ['CUDA error: 700 at line 3'], /illegal address/, /report/],
  [{ code: 1 }, ['MTLCommandBuffer failed: timeout'], /Metal/, /shorter context/],
  [{ code: exitCodes.defect }, ['TypeError: x is undefined'], /did not expect.*TypeError/, /report/],
  [{ code: 0 }, [], /by itself/, /report/],
  [{ code: 0xc0001234 }, [], /0xc0001234/, /report/],
  [{ code: 3 }, [], /status 3/, /report/],
  [{ signal: 'SIGUSR2' }, [], /SIGUSR2/, /report/],
  [{ signal: 'SIGKILL', unresponsive: true }, [], /no longer answered/, /slow disk/],
]

test.each(cases)('%j %j', (exit, log, cause, advice) => {
  const told = describeExit(exit, log)
  expect(told.cause).toMatch(cause)
  expect(told.advice).toMatch(advice)
  expect(told.cause).not.toMatch(/\d{9,}/)
})

// The very number users of another program were shown.
test('a status pushed through a 64-bit integer and a double is still understood', () => {
  expect(describeExit({ code: 18446744072635812000 }, []).cause).toMatch(/status 0xc00003a0|failed check|status/)
})
