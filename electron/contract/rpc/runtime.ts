// The few globals that browsers, Electron and Node share, described structurally so that the
// contract needs neither DOM nor Node types.
declare function setTimeout(callback: () => void, milliseconds: number): unknown
declare function clearTimeout(handle: unknown): void
declare const crypto: { getRandomValues(bytes: Uint8Array): Uint8Array }

export interface AbortSignalLike {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

// The real AbortSignal where the project's types know one.
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer S } } ? S & AbortSignalLike : AbortSignalLike

declare const AbortController: new () => { readonly signal: Signal, abort(reason?: unknown): void }
export type Abort = InstanceType<typeof AbortController>
export function createAbort(): Abort { return new AbortController() }

export type Off = () => void

export function after(milliseconds: number, callback: () => void): Off {
  const handle = setTimeout(callback, milliseconds)
  return () => clearTimeout(handle)
}

export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('')
}
