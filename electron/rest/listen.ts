// Binding to addresses, and what to say when a port is taken.
import { createServer, type Server as NetServer } from 'node:net'
import type { Server } from 'node:http'
import { WorkbenchError } from '../contract'

export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, ...(host === '::1' && { ipv6Only: true }) }, () => {
      server.off('error', reject)
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}

export function close(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

// Never picks another port by itself: clients would talk to the wrong server.
export async function portError(error: unknown, host: string, port: number): Promise<WorkbenchError> {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (code === 'EADDRINUSE') {
    const free = await nextFreePort(host, port)
    return new WorkbenchError('E_CONFLICT', `Port ${port} is used by another program.`, {
      hint: free === undefined ? 'Choose another port.' : `Port ${free} is free.`, detail: { port, ...(free !== undefined && { freePort: free }) },
    })
  }
  if (code === 'EACCES') return new WorkbenchError('E_CONFLICT', `This user may not open port ${port}.`, { hint: 'Choose a port above 1023.' })
  return new WorkbenchError('E_IO', `The server cannot listen on ${host}:${port} (${code || String(error)}).`, { hint: 'Check the address in the server settings.' })
}

async function nextFreePort(host: string, port: number): Promise<number | undefined> {
  for (let candidate = port + 1; candidate <= Math.min(port + 50, 65535); candidate++) {
    if (await isFree(host, candidate)) return candidate
  }
  return undefined
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe: NetServer = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
