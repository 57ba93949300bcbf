// Entry of the host as an Electron utility process. Windows' ports arrive with the messages.
import type { EmitterPort } from '../contract/rpc/message-port'
import { createNativeEngine } from '../engine/native'
import type { ToHost } from './host-messages'
import { runHostProgram } from './host-program'

interface ParentPort {
  postMessage(message: unknown): void
  on(type: 'message', listener: (event: { data: unknown, ports: EmitterPort[] }) => void): void
}

const { parentPort } = process as unknown as { parentPort?: ParentPort }
if (!parentPort) throw new Error('This entry runs as a utility process of Electron; use "serve" elsewhere.')

runHostProgram({
  post: message => parentPort.postMessage(message),
  onMessage: listener => parentPort.on('message', ({ data, ports }) => listener(data as ToHost, ports[0])),
  // Electron ends its utility processes itself.
  onClose: () => {},
}, createNativeEngine)
