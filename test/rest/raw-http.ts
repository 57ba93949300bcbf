// HTTP by hand, so that any header can be sent, Host and Sec-Fetch-Site included.
import { connect } from 'node:net'
import { request, type IncomingHttpHeaders } from 'node:http'

export interface RawResponse { status: number, headers: IncomingHttpHeaders, text: string }

export function send(port: number, options: { method?: string, path?: string, headers?: Record<string, string>, body?: string, address?: string }): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: options.address ?? '127.0.0.1', port, method: options.method ?? 'GET', path: options.path ?? '/', headers: options.headers ?? {}, agent: false,
    }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => { text += chunk })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
      response.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end(options.body)
  })
}

export function post(port: number, path: string, body: unknown, headers: Record<string, string> = {}): Promise<RawResponse> {
  return send(port, { method: 'POST', path, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })
}

// Sends bytes as they are and returns what comes back until the server closes.
export function sendBytes(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => { text += chunk })
    socket.on('close', () => resolve(text))
    socket.on('error', reject)
  })
}
