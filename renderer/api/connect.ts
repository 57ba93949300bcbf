// Finds the host: through the preload's ports inside Electron, else through a WebSocket to
// the server that delivered this page.
import { contract, shellContract } from '../../electron/contract'
import { createClient, messagePortWire, webSocketWire, type Wire } from '../../electron/contract/rpc'
import { clientWorkbench } from './client-workbench'
import type { Workbench } from './workbench'

type PortChannel = 'host' | 'shell'

interface DesktopBridge {
  platform: string
  connect: () => void
  pathForFile: (file: File) => string
}
declare global {
  interface Window { moebius?: DesktopBridge }
}

export function connectWorkbench(): Workbench {
  return window.moebius ? throughPorts(window.moebius) : throughSockets()
}

function throughPorts(bridge: DesktopBridge): Workbench {
  const next = portMailbox()
  const source = (channel: PortChannel) => async (): Promise<Wire> => messagePortWire(await next(channel))
  const host = createClient(contract, source('host'), { app: 'window' })
  const shell = createClient(shellContract, source('shell'), { app: 'window' })
  bridge.connect()
  return clientWorkbench(host, shell, file => bridge.pathForFile(file) || undefined)
}

// Main sends a port at the start and after each restart of the host; each is used once.
function portMailbox(): (channel: PortChannel) => Promise<MessagePort> {
  const waiting = new Map<PortChannel, (port: MessagePort) => void>()
  const arrived = new Map<PortChannel, MessagePort>()
  addEventListener('message', event => {
    if (event.source !== window || event.data?.type !== 'moebius:port') return
    const channel = event.data.channel as PortChannel
    const [port] = event.ports
    if (!port) return
    const take = waiting.get(channel)
    waiting.delete(channel)
    if (take) take(port)
    else arrived.set(channel, port)
  })
  return channel => {
    const port = arrived.get(channel)
    arrived.delete(channel)
    return port ? Promise.resolve(port) : new Promise(resolve => { waiting.set(channel, resolve) })
  }
}

function throughSockets(): Workbench {
  const admitted = admit()
  const source = (path: string) => async (): Promise<Wire> => {
    await admitted
    return webSocketWire(new URL(path, location.href.replace(/^http/, 'ws')).href)
  }
  const host = createClient(contract, source('/rpc'), { app: 'browser' })
  const shell = createClient(shellContract, source('/rpc/shell'), { app: 'browser' })
  return clientWorkbench(host, shell, () => undefined)
}

// The address carries the token once, in its fragment (`#token=…`); it is traded for a
// cookie that scripts cannot read, and taken out of the address at once.
async function admit(): Promise<void> {
  const match = /^#token=([^&]+)/.exec(location.hash)
  if (!match?.[1]) return
  history.replaceState(undefined, '', `${location.pathname}${location.search}#/`)
  await fetch('/session', { method: 'POST', headers: { authorization: `Bearer ${decodeURIComponent(match[1])}` } })
}
