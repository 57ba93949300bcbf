import { afterEach, expect, test } from 'vitest'
import { contract, type Contract, type HostNotice } from '../../electron/contract'
import { createClient, memoryWirePair, type Client } from '../../electron/contract/rpc'
import { createHost, type Host } from '../../electron/host/compose'
import type { HostExit } from '../../electron/host/exit-causes'
import type { FromHost, ToHost } from '../../electron/host/host-messages'
import { Supervisor, type HostProcess, type SupervisorState } from '../../electron/host/supervisor'
import { WireInbox } from '../../electron/contract/rpc/wire'
import { FakeEngine } from '../tools/fake-engine'
import { codeOf, temporaryFolder, until } from '../services/workplace'

// A host within this process, that crashes on command.
class FakeProcess implements HostProcess {
  readonly pid = 1
  mute = false
  private tell: (message: FromHost) => void = () => {}
  private exits: ((exit: HostExit) => void)[] = []
  private line: (text: string) => void = () => {}
  private host: Host | undefined
  private readonly inboxes = new Map<number, WireInbox>()

  constructor(private readonly behaviour: 'well' | 'dies' | 'silent' | 'refuses') {}

  post(message: ToHost): void {
    void Promise.resolve().then(() => this.take(message))
  }

  onMessage(listener: (message: FromHost) => void): void { this.tell = listener }
  onExit(listener: (exit: HostExit) => void): void { this.exits.push(listener) }
  onLog(listener: (text: string) => void): void { this.line = listener }
  kill(): void { this.crash({ signal: 'SIGKILL' }) }
  say(text: string): void { this.line(text) }

  crash(exit: HostExit): void {
    void this.host?.close()
    this.host = undefined
    for (const listener of this.exits.splice(0)) listener(exit)
  }

  private take(message: ToHost): void {
    if (this.behaviour === 'silent' || this.mute) return
    switch (message.type) {
      case 'start':
        if (this.behaviour === 'dies') return this.crash({ signal: 'SIGSEGV' })
        if (this.behaviour === 'refuses') {
          this.tell({ type: 'failed', error: { code: 'E_VERSION', message: 'The database is newer.', hint: 'Update.', retryable: false } })
          return this.crash({ code: 71 })
        }
        this.host = createHost(new FakeEngine(), message.options)
        this.host.services.notices.onDidChange.on(list => { if (list.length === 0) this.tell({ type: 'notices-dismissed' }) })
        return this.tell({ type: 'ready' })
      case 'ping': return this.tell({ type: 'pong' })
      case 'connect': {
        const { id } = message
        const inbox = new WireInbox()
        this.inboxes.set(id, inbox)
        return this.host?.accept({
          send: frame => this.tell({ type: 'frame', id, frame }), onFrame: listener => inbox.onFrame(listener), onClose: listener => inbox.onClose(listener),
          close: (reason = '') => { inbox.finish(reason); this.tell({ type: 'disconnect', id, reason }) },
        }, ['infer', 'manage'])
      }
      case 'frame': return this.inboxes.get(message.id)?.receive(message.frame)
      case 'disconnect': return this.inboxes.get(message.id)?.finish('gone')
      case 'stop': return this.crash({ code: 0 })
    }
  }
}

const cleanUp: (() => unknown)[] = []
afterEach(async () => { for (const act of cleanUp.splice(0).reverse()) await act() })

function supervise(behaviours: ConstructorParameters<typeof FakeProcess>[0][]): { supervisor: Supervisor, processes: FakeProcess[], states: string[], client: Client<Contract>, notices: () => HostNotice[] } {
  const processes: FakeProcess[] = []
  const states: string[] = []
  const supervisor = new Supervisor({
    spawn: () => {
      const process = new FakeProcess(behaviours[processes.length] ?? 'well')
      processes.push(process)
      return process
    },
    start: { kind: 'serve', dataDir: temporaryFolder(), holder: { pid: process.pid } },
    times: { helloMs: 100, pingEveryMs: 20, graceMs: 80, restartMs: [10, 20, 30], stopMs: 1000 },
  })
  supervisor.onDidChange.on(({ kind }: SupervisorState) => states.push(kind))
  cleanUp.push(() => supervisor.stop())
  const client = createClient(contract, () => {
    const [mine, theirs] = memoryWirePair()
    supervisor.connect(theirs)
    return mine
  }, { retryMs: [5] })
  cleanUp.push(() => client.close())
  let notices: HostNotice[] = []
  client.watch('notices', value => { notices = value })
  return { supervisor, processes, states, client, notices: () => notices }
}

test('a host that crashes is started again, and the window is told why', async () => {
  const { supervisor, processes, states, client, notices } = supervise([])
  supervisor.start()
  expect((await client.call('host.info', {})).hostKind).toBe('serve')
  const { id } = await client.call('conversations.create', {})
  processes[0]?.say('[router] expected 8 experts, got 7')
  processes[0]?.crash({ signal: 'SIGABRT' })
  await until(() => client.status.state !== 'open', 'the loss is noticed')
  expect((await client.call('conversations.get', { conversationId: id })).id).toBe(id)
  await until(() => notices().length === 1, 'the notice arrives')
  expect(notices()[0]).toMatchObject({ cause: expect.stringContaining('[router] expected 8 experts') as string, log: ['[router] expected 8 experts, got 7'] })
  expect(states).toEqual(['starting', 'ready', 'waiting', 'starting', 'ready'])
  await client.call('notices.dismiss', {})
  processes[1]?.crash({ signal: 'SIGKILL' })
  await until(() => client.status.state !== 'open', 'the loss is noticed')
  await client.call('host.info', {})
  await until(() => notices()[0]?.cause.includes('SIGKILL') ?? false, 'the second notice')
  expect(notices().length).toBe(1) // the first was dismissed
})

test('after three restarts it gives up, serves the reason, and starts again on request', async () => {
  const { supervisor, processes, states, client, notices } = supervise(['dies', 'dies', 'dies', 'dies', 'well'])
  supervisor.start()
  await until(() => supervisor.state.kind === 'failed', 'it gives up')
  expect(processes.length).toBe(4)
  expect(states.filter(state => state === 'waiting').length).toBe(3)
  await expect(client.call('host.info', {})).rejects.toMatchObject({ code: 'E_HOST_LOST', message: expect.stringContaining('SIGSEGV') as string })
  await until(() => notices().length === 4, 'the notices are served')
  await client.call('host.restart', {})
  await until(() => supervisor.state.kind === 'ready', 'it runs again')
  expect((await client.call('host.info', {})).pid).toBe(process.pid)
  expect(await codeOf(client.call('host.restart', {}))).toBe('E_CONFLICT')
})

test('a refusal to start is final and says its own reason', async () => {
  const { supervisor, processes, client } = supervise(['refuses'])
  supervisor.start()
  await until(() => supervisor.state.kind === 'failed', 'it gives up')
  expect(processes.length).toBe(1)
  await expect(client.call('host.info', {})).rejects.toMatchObject({ message: 'There is no host: The database is newer.', hint: 'Update.' })
})

test('a host that never answers, or no longer, is ended and replaced', async () => {
  const { supervisor, processes, client, notices } = supervise(['silent'])
  supervisor.start()
  await until(() => supervisor.state.kind === 'ready', 'the second one answers')
  await until(() => notices()[0]?.cause.includes('no longer answered') ?? false, 'the notice')
  const second = processes[1]
  if (second) second.mute = true
  await until(() => processes.length === 3 && supervisor.state.kind === 'ready', 'the third one answers')
  expect((await client.call('host.info', {})).hostKind).toBe('serve')
})
