// Server-sent events over one response: headers go out with the first event, a comment keeps
// silent connections open, and a client that does not read is given up.
import type { ServerResponse } from 'node:http'

// A client this far behind will not catch up.
const maxBufferedBytes = 16 * 1024 * 1024

export class EventStream {
  private timer: NodeJS.Timeout | undefined

  constructor(private readonly response: ServerResponse, private readonly keepAliveMs: number) {}

  get started(): boolean { return this.response.headersSent }

  // Begins the comments. Headers wait for the first event or comment, so that an early
  // failure can still be an HTTP status.
  keepAlive(): void {
    if (this.timer || this.keepAliveMs <= 0) return
    this.timer = setInterval(() => this.write(': ping\n\n'), this.keepAliveMs)
    this.timer.unref()
  }

  send(data: unknown): void {
    this.write(`data: ${JSON.stringify(data)}\n\n`)
  }

  // The end marker of OpenAI's streams.
  done(): void {
    this.write('data: [DONE]\n\n')
  }

  end(): void {
    clearInterval(this.timer)
    this.response.end()
  }

  private write(text: string): void {
    if (this.response.destroyed || this.response.writableEnded) return
    if (!this.response.headersSent) {
      this.response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no', connection: 'keep-alive',
      })
    }
    this.response.write(text)
    this.timer?.refresh()
    if (this.response.writableLength > maxBufferedBytes) this.response.destroy()
  }

  // Stops the comments without ending the response.
  stop(): void {
    clearInterval(this.timer)
  }
}
