// A small contract with one method of each kind, and a server whose behaviour the tests steer.
import { z } from 'zod'
import { binary, call, defineContract, stream, WorkbenchError } from '../../electron/contract'
import { createServer, type Server, type ServerOptions } from '../../electron/contract/rpc'

const Text = z.string()
export const probeContract = defineContract({
  version: 1,
  calls: {
    echo: call({ in: z.object({ value: z.unknown() }), out: z.object({ value: z.unknown() }), scope: 'infer', maxBytes: 100_000 }),
    wait: call({ in: z.object({ name: Text }), out: z.object({ name: Text }), scope: 'infer' }),
    small: call({ in: z.object({ text: Text.max(50) }), out: z.object({}), scope: 'infer', maxBytes: 200 }),
    fails: call({ in: z.object({ known: z.boolean() }), out: z.object({}), scope: 'infer' }),
    admin: call({ in: z.object({}), out: z.object({}), scope: 'manage' }),
  },
  streams: {
    count: stream({ in: z.object({ from: z.number(), to: z.number(), bytes: z.number().default(0) }), out: z.object({ n: z.number(), pad: Text }), scope: 'infer', credit: 8, drop: 'never', resume: true }),
    job: stream({ in: z.object({}), out: z.object({ n: z.number() }), scope: 'infer', credit: 8, drop: 'never', resume: true }),
    meter: stream({ in: z.object({}), out: z.object({ n: z.number() }), scope: 'infer', credit: 1, drop: 'latest', resume: false }),
    frames: stream({ in: z.object({ sizes: z.array(z.number()) }), out: binary('bytes'), scope: 'infer', credit: 4, drop: 'never', resume: false }),
    log: stream({ in: z.object({}), out: z.object({ n: z.number() }), scope: 'infer', credit: 8, drop: 'never', resume: false }),
  },
  state: { list: z.array(z.object({ id: Text, tags: z.array(Text) })), note: z.object({ text: Text }) },
})
export type ProbeContract = typeof probeContract

export class Probe {
  readonly server: Server<ProbeContract>
  // Settles the waiting call of that name.
  readonly waiting = new Map<string, (error?: Error) => void>()
  readonly aborted: string[] = []
  readonly defects: string[] = []
  produced = 0
  // Watchers of the one job; publish() reaches all of them.
  private readonly watchers = new Set<(n: number) => void>()
  private meters: ((n: number) => void)[] = []

  constructor(options: ServerOptions = {}) {
    this.server = createServer(probeContract, {
      calls: {
        echo: ({ value }) => ({ value }),
        wait: ({ name }, { signal }) => new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => {
            this.aborted.push(name)
            reject(new Error('stopped'))
          })
          this.waiting.set(name, error => { if (error) reject(error); else resolve({ name }) })
        }),
        small: () => ({}),
        fails: ({ known }) => {
          if (known) throw new WorkbenchError('E_MEMORY', 'Too large.', { hint: 'Take less.', detail: { bytes: 7 } })
          throw new TypeError('undefined is not a function')
        },
        admin: () => ({}),
      },
      streams: {
        count: async ({ from, to, bytes }, { send, signal }) => {
          for (let n = from; n < to && !signal.aborted; n++) {
            this.produced++
            await send({ n, pad: 'x'.repeat(bytes) })
          }
          if (signal.aborted) this.aborted.push('count')
        },
        job: (_, { send, signal }) => new Promise(resolve => {
          const watcher = (n: number): void => { void send({ n }).then(() => { if (n < 0) resolve() }) }
          this.watchers.add(watcher)
          signal.addEventListener('abort', () => { this.watchers.delete(watcher); resolve() })
        }),
        meter: (_, { send, signal }) => new Promise(resolve => {
          this.meters.push(n => { if (n < 0) resolve(); else void send({ n }) })
          signal.addEventListener('abort', () => { this.aborted.push('meter'); resolve() })
        }),
        frames: async ({ sizes }, { send }) => {
          for (const size of sizes) await send(Uint8Array.from({ length: size }, (_, i) => i & 255))
        },
        log: (_, { signal }) => new Promise(resolve => { signal.addEventListener('abort', () => resolve()) }),
      },
    }, { ...options, onDefect: (error, where) => { this.defects.push(`${where}: ${String(error)}`) } })
    this.server.setState('list', [])
  }

  publish(n: number): void { this.watchers.forEach(watcher => watcher(n)) }
  measure(n: number): void { this.meters.forEach(meter => meter(n)) }
  get nWatchers(): number { return this.watchers.size }
  get nMeters(): number { return this.meters.length }
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 5000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within 5 s: ${what}`)
    await new Promise(resolve => { setTimeout(resolve, 2) })
  }
}
