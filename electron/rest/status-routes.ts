// Routes that belong to no dialect.
import { openAiErrorBody } from './errors'
import { type Dialect, sendJson } from './dialect'

export const statusDialect: Dialect = {
  name: 'status',
  errorBody: openAiErrorBody,
  routes: [
    {
      method: 'GET', path: '/', scope: undefined,
      handle: ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
        response.end('Moebius is running')
      },
    },
    { method: 'GET', path: '/health', scope: undefined, handle: ({ response }) => sendJson(response, 200, { status: 'ok' }) },
  ],
}
