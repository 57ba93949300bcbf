// Why a host ended, in words: one sentence of cause and one of advice for each signal or status.
// Never a bare number: rivals show "Exit code: 18446744072635812000" for a failed check.

export interface HostExit {
  code?: number
  signal?: string
  // Ended by the supervisor because it no longer answered.
  unresponsive?: boolean
}

export interface ExitCause { cause: string, advice: string }

// Codes a host of ours ends with by itself.
export const exitCodes = { ok: 0, defect: 70, startFailed: 71, orphaned: 72 } as const

const bySignal: Record<string, ExitCause> = {
  SIGILL: { cause: 'The engine used an instruction that this processor does not have (SIGILL).', advice: 'Start with MOEBIUS_ISA set one level lower (avx512 → avx2 → reference, on ARM neon_i8mm → neon → neon_base), and report the processor.' },
  SIGBUS: { cause: 'A mapped model file shrank, or its disk went away (SIGBUS).', advice: 'Check the disk and the file, then load the model again.' },
  SIGKILL: { cause: 'The host was killed from outside (SIGKILL): most often the system\'s out-of-memory killer or a memory limit.', advice: 'Choose a shorter context or a smaller model, or close other programs.' },
  SIGTRAP: { cause: 'The host hit a trap (SIGTRAP): a large allocation went through Chromium\'s allocator.', advice: 'This is a defect of Moebius: please report it with the log below.' },
  SIGSEGV: { cause: 'The engine reached for memory that is not its own (SIGSEGV).', advice: 'This is a defect of Moebius: please report it with the log below. The conversation is safe.' },
  SIGABRT: { cause: 'The engine stopped itself after a failed check (SIGABRT).', advice: 'The last lines of the log name the check: please report them.' },
  SIGFPE: { cause: 'The engine divided by zero (SIGFPE).', advice: 'This is a defect of Moebius: please report it with the log below.' },
  SIGTERM: { cause: 'The host was asked to end from outside (SIGTERM).', advice: 'If that was not you, look at what manages this machine\'s processes.' },
  SIGINT: { cause: 'The host was interrupted from outside (SIGINT).', advice: 'Nothing needs to be done.' },
}

const byStatus: Record<number, ExitCause> = {
  [0xc000001d]: bySignal.SIGILL as ExitCause,
  [0xc0000005]: { cause: 'The engine reached for memory that is not its own (access violation).', advice: 'This is a defect of Moebius: please report it with the log below. The conversation is safe.' },
  [0xc0000409]: { cause: 'The engine stopped itself after a failed check (abort).', advice: 'The last lines of the log name the check: please report them.' },
  [0xc00000fd]: { cause: 'The engine ran out of stack (stack overflow).', advice: 'This is a defect of Moebius: please report it with the log below.' },
  [0xc0000135]: { cause: 'A DLL that the engine needs is missing.', advice: 'Install the Visual C++ runtime; the log may name the file.' },
  [0xc0000017]: { cause: 'Windows has no memory left to commit.', advice: 'Make the page file larger, or choose a smaller model.' },
}

const byCudaCode: Record<number, ExitCause> = {
  2: { cause: 'The graphics card\'s memory is full (CUDA error 2).', advice: 'Put fewer experts on the card, or choose a shorter context.' },
  35: { cause: 'The graphics driver is too old for this CUDA backend (CUDA error 35).', advice: 'Update the driver.' },
  100: { cause: 'No CUDA device was found (CUDA error 100).', advice: 'Check that the card is visible to the system; the processor is used otherwise.' },
  209: { cause: 'The CUDA backend has no kernels for this card (CUDA error 209).', advice: 'Use a backend built for the card\'s compute capability.' },
  700: { cause: 'A CUDA kernel reached for an illegal address (CUDA error 700).', advice: 'This is a defect of Moebius: please report it with the log below.' },
}

const signalNumbers: Record<number, string> = { 2: 'SIGINT', 4: 'SIGILL', 5: 'SIGTRAP', 6: 'SIGABRT', 7: 'SIGBUS', 8: 'SIGFPE', 9: 'SIGKILL', 10: 'SIGBUS', 11: 'SIGSEGV', 15: 'SIGTERM' }

// `log`: the host's last lines. They know better than a status what a backend complained of.
export function describeExit({ code, signal, unresponsive }: HostExit, log: readonly string[]): ExitCause {
  if (unresponsive) {
    return { cause: 'The host no longer answered and was ended.', advice: 'If a model was loading from a slow disk, try again; otherwise please report it with the log below.' }
  }
  const fromLog = backendCause(log)
  if (fromLog) return fromLog
  const name = signal ?? (code === undefined ? undefined : signalOf(code))
  const known = name === undefined ? undefined : bySignal[name]
  if (known) return withMessage(known, name, log)
  if (name !== undefined) return { cause: `The host was ended by the signal ${name}.`, advice: 'Please report it with the log below.' }
  // Some layers hand on Windows' unsigned status as a negative or a 64-bit number.
  const status = Number(BigInt.asUintN(32, BigInt(Math.trunc(code ?? 0))))
  if (byStatus[status]) return byStatus[status]
  if (code === exitCodes.defect) return withMessage({ cause: 'The host met an error it did not expect.', advice: 'This is a defect of Moebius: please report it with the log below.' }, 'defect', log)
  if (code === exitCodes.ok) return { cause: 'The host ended by itself.', advice: 'If you did not ask for that, please report it.' }
  const shown = status > 0xffff ? `0x${status.toString(16)}` : String(code)
  return { cause: `The host ended with the status ${shown}.`, advice: 'Please report it with the log below.' }
}

function signalOf(code: number): string | undefined {
  // A shell's 128 + n, or the raw signal number as Electron reports it.
  return signalNumbers[code] ?? (code > 128 && code < 160 ? signalNumbers[code - 128] : undefined)
}

function backendCause(log: readonly string[]): ExitCause | undefined {
  for (const line of log.slice(-20).toReversed()) {
    const cuda = /\bCUDA error:? (\d+)\b/i.exec(line)
    const known = cuda && byCudaCode[Number(cuda[1])]
    if (known) return known
    if (/MTLCommandBuffer.*(error|failed)|command buffer.*(OutOfMemory|Timeout)/i.test(line)) {
      return { cause: 'The graphics processor gave up a Metal command buffer: out of memory, or a kernel that took too long.', advice: 'Choose a shorter context or a smaller model.' }
    }
  }
  return undefined
}

// The check that failed speaks for itself.
function withMessage(known: ExitCause, name: string | undefined, log: readonly string[]): ExitCause {
  const last = log.findLast(line => line.trim() !== '')
  const speaks = (name === 'SIGABRT' || name === 'defect') && last !== undefined
  return speaks ? { ...known, cause: `${known.cause} Its last words: ${last.trim().slice(0, 300)}` } : known
}
