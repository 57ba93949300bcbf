import { defineStore } from 'pinia'
import { workbench } from '../api/workbench'
import { useHostState } from './use-state'

export const useServerStore = defineStore('server', () => {
  const status = useHostState('server.status')
  return {
    status,
    start: (port?: number) => workbench().call('server.start', port === undefined ? {} : { port }),
    stop: () => workbench().call('server.stop', {}),
    createToken: async (name: string): Promise<string> => (await workbench().call('server.createToken', { name })).token,
  }
})
