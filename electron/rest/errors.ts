// How a failure looks over HTTP: one table for the status, one body per dialect.
import { type ErrorCode, WorkbenchError } from '../contract'

interface HttpForm { status: number, type: string, code: string | null }

const bad = { status: 400, type: 'invalid_request_error', code: null }
const forbidden = { status: 403, type: 'permission_error', code: null }
const busy = { status: 503, type: 'unavailable_error', code: null }
const conflict = { status: 409, type: 'conflict_error', code: null }

const forms: Partial<Record<ErrorCode, HttpForm>> = {
  E_BAD_REQUEST: bad, E_SCHEMA: bad, E_GRAMMAR: bad,
  E_CONTEXT_LENGTH: { ...bad, code: 'context_length_exceeded' },
  E_AUTH: { status: 401, type: 'authentication_error', code: 'invalid_api_key' },
  E_SCOPE: forbidden, E_HOST: forbidden, E_ORIGIN: forbidden,
  E_NOT_FOUND: { status: 404, type: 'not_found_error', code: null },
  E_MODEL_UNKNOWN: { status: 404, type: 'not_found_error', code: 'model_not_found' },
  E_CONFLICT: conflict, E_BUSY_TRAINING: conflict,
  E_TOO_LARGE: { status: 413, type: 'invalid_request_error', code: null },
  E_UNSUPPORTED: { status: 501, type: 'not_supported_error', code: null },
  E_QUEUE_FULL: busy, E_LOADING: busy, E_CANCELLED: busy,
  E_TIMEOUT: { status: 408, type: 'server_error', code: 'e_timeout' },
}

// A failure of HTTP itself, which the contract has no code for.
export class HttpError extends WorkbenchError {
  constructor(readonly status: number, code: ErrorCode, message: string, readonly headers: Record<string, string> = {}) {
    super(code, message)
  }
}

export function asWorkbenchError(error: unknown): WorkbenchError {
  if (error instanceof WorkbenchError) return error
  return new WorkbenchError('E_INTERNAL', 'An unexpected failure inside Moebius. The log of the program has the details.', { detail: {} })
}

export function httpForm(error: WorkbenchError): HttpForm {
  const form = forms[error.code] ?? { status: 500, type: 'server_error', code: error.code.toLowerCase() }
  return error instanceof HttpError ? { ...form, status: error.status } : form
}

export function errorHeaders(error: WorkbenchError): Record<string, string> {
  const headers: Record<string, string> = error instanceof HttpError ? { ...error.headers } : {}
  const { status } = httpForm(error)
  if (status === 503) headers['retry-after'] = String(error.detail?.retryAfterSeconds ?? 5)
  if (status === 401) headers['www-authenticate'] = 'Bearer'
  return headers
}

export interface OpenAiErrorBody {
  error: { message: string, type: string, param: string | null, code: string | null, hint?: string, [extension: string]: unknown }
}

export function openAiErrorBody(error: WorkbenchError): OpenAiErrorBody {
  const { type, code } = httpForm(error)
  const param = typeof error.detail?.param === 'string' ? error.detail.param : null
  const body = { message: error.message, type, param, code, ...(error.hint !== '' && { hint: error.hint }) }
  return { error: error.code === 'E_CONTEXT_LENGTH' ? { ...body, ...contextLengthFields(error) } : body }
}

function contextLengthFields(error: WorkbenchError): Record<string, unknown> {
  const { promptTokens, maxTokens, maxSeqLen } = error.detail ?? {}
  if (typeof promptTokens !== 'number' || typeof maxSeqLen !== 'number') return { param: 'messages' }
  const wanted = typeof maxTokens === 'number' ? maxTokens : 0
  const request = wanted > 0
    ? `the request has ${promptTokens + wanted} (prompt ${promptTokens} + max_tokens ${wanted})`
    : `the prompt has ${promptTokens}`
  return {
    message: `This model's maximum context length is ${maxSeqLen} tokens, but ${request}.`,
    param: 'messages', n_prompt_tokens: promptTokens, n_ctx: maxSeqLen,
  }
}
