// A host as a child process: the supervisor's end, and the child's own end of the channel.
import { fork } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { HostChannel } from './host-program'
import type { FromHost, ToHost } from './host-messages'
import type { HostProcess } from './supervisor'

// `modulePath`: the entry that calls runHostProgram(parentChannel(), …).
export function spawnHostProcess(modulePath: string): HostProcess {
  // 'advanced' carries binary frames as they are.
  const child = fork(modulePath, [], { serialization: 'advanced', stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  return {
    pid: child.pid,
    post(message) { if (child.connected) child.send(message, () => {}) },
    onMessage: listener => { child.on('message', message => listener(message as FromHost)) },
    onExit: listener => {
      child.on('exit', (code, signal) => listener({ ...(code !== null && { code }), ...(signal !== null && { signal }) }))
      // It could not be started at all.
      child.on('error', () => { if (child.pid === undefined) listener({ code: 1 }) })
    },
    onLog: listener => {
      for (const output of [child.stdout, child.stderr]) if (output) createInterface({ input: output }).on('line', listener)
    },
    kill: () => { child.kill('SIGKILL') },
  }
}

export function parentChannel(): HostChannel {
  return {
    post(message) { if (process.connected) process.send?.(message) },
    onMessage: listener => { process.on('message', message => listener(message as ToHost, undefined)) },
    onClose: listener => { process.on('disconnect', listener) },
  }
}
