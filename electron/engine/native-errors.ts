// Errors of the addon as WorkbenchErrors that remember where JavaScript made the call.
import { ErrorCode, WorkbenchError } from '../contract/errors'

interface NativeErrorFields { code?: unknown, hint?: unknown, message?: unknown }

export function toWorkbenchError(cause: unknown, stack?: string): WorkbenchError {
  if (cause instanceof WorkbenchError) return cause
  const fields = (typeof cause === 'object' && cause !== null ? cause : {}) as NativeErrorFields
  const code = ErrorCode.safeParse(fields.code)
  const message = typeof fields.message === 'string' ? fields.message : String(cause)
  const error = new WorkbenchError(code.success ? code.data : 'E_INTERNAL', message, {
    hint: typeof fields.hint === 'string' ? fields.hint : '',
  })
  error.cause = cause
  // A promise settled by the event loop has no stack of its own worth reading.
  if (stack !== undefined) error.stack = `WorkbenchError: ${message}\n${stack.split('\n').slice(1).join('\n')}`
  return error
}

export function callNative<T>(call: () => T): T {
  try {
    return call()
  } catch (cause) {
    throw toWorkbenchError(cause)
  }
}

export async function awaitNative<T>(start: () => Promise<T>): Promise<T> {
  const stack = new Error('called here').stack
  try {
    return await start()
  } catch (cause) {
    throw toWorkbenchError(cause, stack)
  }
}
