// One enumeration of failures, so that the inner cause survives every border: native
// addon, host, wire, REST dialects, window.
import { z } from 'zod'

export const errorCodes = [
  'E_BAD_REQUEST', 'E_SCHEMA', 'E_GRAMMAR', 'E_CONTEXT_LENGTH', 'E_AUTH', 'E_SCOPE', 'E_HOST', 'E_ORIGIN',
  'E_NOT_FOUND', 'E_MODEL_UNKNOWN', 'E_CONFLICT', 'E_BUSY_TRAINING', 'E_TOO_LARGE', 'E_UNSUPPORTED',
  'E_QUEUE_FULL', 'E_LOADING', 'E_MEMORY', 'E_DEVICE_LOST', 'E_GGUF', 'E_SHARD_MISSING', 'E_NATIVE',
  'E_HOST_LOST', 'E_IO', 'E_DISK_FULL', 'E_INTERNAL', 'E_CANCELLED', 'E_GAP', 'E_VERSION', 'E_TIMEOUT',
] as const

export const ErrorCode = z.enum(errorCodes)
export type ErrorCode = z.infer<typeof ErrorCode>

export const WorkbenchErrorShape = z.object({
  code: ErrorCode,
  // What failed and where, in one or two sentences.
  message: z.string(),
  // What the user can do next; empty when there is nothing.
  hint: z.string(),
  detail: z.record(z.string(), z.unknown()).optional(),
  retryable: z.boolean(),
})
export type WorkbenchErrorShape = z.infer<typeof WorkbenchErrorShape>

// The exception form of the shape above; only the shape crosses wires.
export class WorkbenchError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  readonly detail: Record<string, unknown> | undefined
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: { hint?: string, detail?: Record<string, unknown>, retryable?: boolean } = {}) {
    super(message)
    this.name = 'WorkbenchError'
    this.code = code
    this.hint = options.hint ?? ''
    this.detail = options.detail
    this.retryable = options.retryable ?? false
  }

  toShape(): WorkbenchErrorShape {
    return { code: this.code, message: this.message, hint: this.hint, ...(this.detail && { detail: this.detail }), retryable: this.retryable }
  }

  static from(shape: WorkbenchErrorShape): WorkbenchError {
    return new WorkbenchError(shape.code, shape.message, shape)
  }
}
