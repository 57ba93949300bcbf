// The whole bridge between the window and the desktop: a port to the host, a port to the
// shell, and the path of a dropped file. Nothing of Electron itself is exposed.
import { contextBridge, ipcRenderer, webUtils } from 'electron'

export type PortChannel = 'host' | 'shell'

// Ports cannot cross the context bridge: each one is handed over as a window message
// { type: 'moebius:port', channel } with the port attached. Main sends a new host port
// after every restart of the host.
ipcRenderer.on('moebius:port', (event, channel: PortChannel) => {
  window.postMessage({ type: 'moebius:port', channel }, window.location.origin, event.ports)
})

contextBridge.exposeInMainWorld('moebius', {
  platform: process.platform,
  // Asks main for both ports; they arrive as window messages.
  connect: (): void => ipcRenderer.send('moebius:connect'),
  pathForFile: (file: File): string => webUtils.getPathForFile(file),
})
