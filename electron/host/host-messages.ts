// What a supervisor and its host say to each other, over a child process's channel or over the
// parent port of an Electron utility process.
import type { HostNotice, WorkbenchErrorShape } from '../contract'
import type { Frame } from '../contract/rpc'
import type { HostOptions } from './compose'

export type HostStart = Omit<HostOptions, 'notices'> & { notices: HostNotice[] }

export type ToHost =
  | { type: 'start', options: HostStart }
  | { type: 'ping' }
  // A window. Inside Electron the message carries its port; else its frames are relayed.
  | { type: 'connect', id: number }
  | { type: 'frame', id: number, frame: Frame }
  | { type: 'disconnect', id: number }
  | { type: 'stop' }

export type FromHost =
  | { type: 'ready' }
  | { type: 'pong' }
  | { type: 'frame', id: number, frame: Frame }
  | { type: 'disconnect', id: number, reason: string }
  | { type: 'notices-dismissed' }
  // It cannot start, and trying again would not help.
  | { type: 'failed', error: WorkbenchErrorShape }
