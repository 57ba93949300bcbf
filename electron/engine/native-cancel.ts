// Ties an AbortSignal to a native cancel handle for the length of one call.
import type { Addon, CancelHandle } from '../../native/addon'

export async function withCancel<T>(
  addon: Addon, signal: AbortSignal | undefined, run: (cancel: CancelHandle) => Promise<T>,
): Promise<T> {
  const cancel = addon.createCancel()
  const stop = (): void => { addon.cancel(cancel) }
  if (signal?.aborted) stop()
  signal?.addEventListener('abort', stop, { once: true })
  try {
    return await run(cancel)
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}
