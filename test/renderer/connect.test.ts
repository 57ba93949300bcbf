import { MessageChannel as NodeMessageChannel } from 'node:worker_threads'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { shellContract } from '../../electron/contract'
import { createServer, messagePortWire } from '../../electron/contract/rpc'
import { connectWorkbench } from '../../renderer/api/connect'
import type { ConnectionState } from '../../renderer/api/workbench'

// What main does: hands a fresh port to the window as a message.
function handOver(channel: 'host' | 'shell', platform: string): { close: () => void } {
  const { port1, port2 } = new NodeMessageChannel()
  const capabilities = { pickFile: true, dropPath: true, reveal: true, browse: false, windowControls: false, platform }
  const server = createServer(shellContract, {
    calls: {
      'shell.capabilities': () => capabilities, 'shell.pickModel': () => ({ paths: ['/models/a.gguf'] }), 'shell.browse': () => ({ path: '/', entries: [] }),
      'shell.reveal': () => ({}), 'shell.openExternal': () => ({}),
    },
    streams: {},
  })
  server.accept(messagePortWire(port1 as never), { scopes: ['infer', 'manage', 'train'] })
  const event = new MessageEvent('message', { data: { type: 'moebius:port', channel }, source: window as never })
  Object.defineProperty(event, 'ports', { value: [port2] })
  window.dispatchEvent(event)
  return { close: () => { port1.close() } }
}

beforeEach(() => {
  window.moebius = { platform: 'linux', connect: vi.fn(), pathForFile: file => file.name === 'typed' ? '' : `/dropped/${file.name}` }
})
afterEach(() => { delete window.moebius })

it('asks main for ports, talks through them, and takes a new one after a loss', async () => {
  const workbench = connectWorkbench()
  expect(window.moebius?.connect).toHaveBeenCalledOnce()
  const asked = workbench.shell('shell.capabilities', {})
  const first = handOver('shell', 'first')
  expect((await asked).platform).toBe('first')
  first.close()
  handOver('shell', 'second')
  await vi.waitFor(async () => { expect((await workbench.shell('shell.capabilities', {})).platform).toBe('second') }, { timeout: 3000 })
})

it('says where a dropped file lies, and that it does not know', () => {
  const workbench = connectWorkbench()
  expect(workbench.pathForFile(new File(['x'], 'a.gguf'))).toBe('/dropped/a.gguf')
  expect(workbench.pathForFile(new File(['x'], 'typed'))).toBeUndefined()
})

it('tells that versions do not fit when the port speaks another contract', async () => {
  const workbench = connectWorkbench()
  const states: ConnectionState[] = []
  workbench.onConnection(state => { states.push(state) })
  // A shell where the host should be: its contract is another one.
  handOver('host', 'wrong')
  await vi.waitFor(() => { expect(states.at(-1)).toEqual({ kind: 'mismatch' }) })
})

it('trades the token of the address for a cookie before it connects', async () => {
  delete window.moebius
  const opened: string[] = []
  const fetched = vi.fn(() => Promise.resolve({ ok: true }))
  vi.stubGlobal('fetch', fetched)
  vi.stubGlobal('WebSocket', class {
    constructor(url: string) { opened.push(url) }
    addEventListener(): void {}
  })
  location.hash = '#token=a%2Fb'
  connectWorkbench()
  expect(location.hash).not.toContain('token')
  expect(fetched).toHaveBeenCalledWith('/session', { method: 'POST', headers: { authorization: 'Bearer a/b' } })
  await vi.waitFor(() => { expect(opened.map(url => new URL(url).pathname)).toEqual(['/rpc', '/rpc/shell']) })
  vi.unstubAllGlobals()
})
