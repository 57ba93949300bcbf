// What the exit code of a utility process means.
const signals: Record<number, NodeJS.Signals> = { 4: 'SIGILL', 5: 'SIGTRAP', 6: 'SIGABRT', 7: 'SIGBUS', 9: 'SIGKILL', 11: 'SIGSEGV', 15: 'SIGTERM' }

// On Linux and macOS Electron reports a deadly signal as its number; Windows reports the status.
export function exitOf(code: number, platform: string): { code?: number, signal?: NodeJS.Signals } {
  const signal = platform === 'win32' ? undefined : signals[code > 128 ? code - 128 : code]
  return signal ? { signal } : { code }
}
