// An in-memory workbench at the border of renderer/api: for component tests, and for looking
// at the window without a host (`vite build --mode fake`).
import { applyPatch, type Patch } from './fake-state'
import { WorkbenchError, type ChatEvent, type Contract, type Conversation, type ConversationSummary, type Message, type Settings, type StateKey, type StateValue } from '../../electron/contract'
import type { ConnectionState, StreamHandlers, Workbench } from '../../renderer/api/workbench'
import * as sample from './sample-data'

type Handler = (params: never) => unknown
export interface OpenStream { method: string, params: unknown, handlers: StreamHandlers<never>, closed: boolean }

export interface FakeWorkbench extends Workbench {
  calls: { method: string, params: unknown }[]
  streams: OpenStream[]
  conversations: Map<string, Conversation>
  on: (method: string, handler: Handler) => void
  set: <K extends StateKey<Contract>>(key: K, value: Patch<StateValue<Contract, K>>) => void
  emit: (event: ChatEvent, generationId?: string) => void
  connection: (state: ConnectionState) => void
}

const summaryOf = ({ id, title, createdAt, updatedAt, modelId, messages }: Conversation): ConversationSummary =>
  ({ id, title, createdAt, updatedAt, ...(modelId !== undefined && { modelId }), nMessages: messages.length })

export function createFakeWorkbench(): FakeWorkbench {
  const states: { [K in StateKey<Contract>]: StateValue<Contract, K> } = {
    'engine.status': sample.engineStatus, 'engine.calibration': sample.calibrationStatus, 'models': { models: [sample.demo, sample.large, sample.dense, sample.broken] }, 'settings': sample.settings,
    'server.status': sample.serverStatus, 'conversations': [], 'notices': [],
  }
  const listeners = new Map<string, Set<(value: never) => void>>()
  const connectionListeners = new Set<(state: ConnectionState) => void>()
  const handlers = new Map<string, Handler>()
  const conversations = new Map<string, Conversation>()
  const deleted = new Map<string, Conversation>()
  let nextId = 1

  const fake: FakeWorkbench = {
    calls: [], streams: [], conversations,
    async call(method, params) {
      fake.calls.push({ method, params })
      await Promise.resolve()
      const handler = handlers.get(method)
      if (!handler) throw new WorkbenchError('E_UNSUPPORTED', `The fake has no ${method}.`)
      return await handler(params as never) as never
    },
    shell: (method, params) => fake.call(method as never, params as never) as never,
    open(method, params, streamHandlers) {
      const stream: OpenStream = { method, params, handlers: streamHandlers as never, closed: false }
      fake.streams.push(stream)
      return () => { stream.closed = true }
    },
    watch(key, listener) {
      const set = listeners.get(key) ?? new Set()
      listeners.set(key, set.add(listener as never))
      listener(states[key])
      return () => { set.delete(listener as never) }
    },
    onConnection(listener) {
      connectionListeners.add(listener)
      listener({ kind: 'online' })
      return () => { connectionListeners.delete(listener) }
    },
    pathForFile: () => undefined,
    on: (method, handler) => { handlers.set(method, handler) },
    set(key, value) {
      const next = applyPatch(states[key] as StateValue<Contract, typeof key>, value)
      Object.assign(states, { [key]: next })
      for (const listener of listeners.get(key) ?? []) listener(next as never)
    },
    emit(event, generationId) {
      const open = fake.streams.findLast(stream => stream.method === 'chat.watch' && !stream.closed && (generationId === undefined || (stream.params as { generationId: string }).generationId === generationId))
      open?.handlers.onItem(event as never)
    },
    connection: state => { for (const listener of connectionListeners) listener(state) },
  }

  const publish = (): void => fake.set('conversations', [...conversations.values()].map(summaryOf))
  const need = (id: string): Conversation => {
    const found = conversations.get(id)
    if (!found) throw new WorkbenchError('E_NOT_FOUND', `There is no conversation ${id}.`)
    return found
  }
  const store = (conversation: Conversation): Conversation => { conversations.set(conversation.id, conversation); publish(); return conversation }
  const answerTo = (conversation: Conversation, user: Message, modelId: string): { generationId: string, answer: Message } => {
    const generationId = `g${nextId}`
    const answer = sample.message({ id: `m-${nextId++}`, role: 'assistant', conversationId: conversation.id, parentId: user.id, state: 'streaming', createdAt: Date.now() + nextId, modelId })
    return { generationId, answer }
  }

  const answers: Record<string, (params: { conversationId: string, modelId: string, messageId: string, content: string, parentId?: string, search?: string, port?: number, seqLen: number, patch: Partial<Settings> }) => unknown> = {
    'host.info': () => ({ version: '0.1.0', hostKind: 'serve', platform: 'linux-x64', nodeVersion: '24.21.0', pid: 1, dataDir: '/home/user/.local/share/moebius', startedAt: 0 }),
    'shell.capabilities': () => ({ pickFile: false, dropPath: false, reveal: false, browse: true, windowControls: false, platform: 'linux' }),
    'shell.browse': () => ({ path: '/models', parent: '/', entries: [{ name: 'DeepSeek-V3', path: '/models/DeepSeek-V3', kind: 'directory', bytes: 0 }, { name: 'qwen3-4b.gguf', path: '/models/qwen3-4b.gguf', kind: 'gguf', bytes: 2.5e9 }] }),
    'conversations.list': ({ search }) => [...conversations.values()].filter(chat => !search || JSON.stringify(chat).toLowerCase().includes(search.toLowerCase())).map(summaryOf),
    'conversations.get': ({ conversationId }) => need(conversationId),
    'conversations.create': ({ modelId }) => store(sample.conversation({ id: `c-${nextId++}`, title: '', messages: [], activeLeafId: undefined, modelId })),
    'conversations.update': ({ conversationId, ...patch }) => store({ ...need(conversationId), ...patch as Partial<Conversation> }),
    'conversations.delete': ({ conversationId }) => { deleted.set(conversationId, need(conversationId)); conversations.delete(conversationId); publish(); return {} },
    'conversations.restore': ({ conversationId }) => store(deleted.get(conversationId) ?? need(conversationId)),
    'chat.send': ({ conversationId, parentId, content, modelId }) => {
      const conversation = need(conversationId)
      const userMessage = sample.message({ id: `m-${nextId++}`, role: 'user', conversationId, content, createdAt: Date.now() + nextId, ...(parentId && { parentId }) })
      const { generationId, answer } = answerTo(conversation, userMessage, modelId)
      store({ ...conversation, title: conversation.title || content, messages: [...conversation.messages, userMessage, answer], activeLeafId: answer.id, generationId })
      return { generationId, userMessage, answer }
    },
    'chat.regenerate': ({ messageId, modelId }) => {
      const conversation = [...conversations.values()].find(chat => chat.messages.some(message => message.id === messageId))
      const user = conversation?.messages.find(message => message.id === conversation.messages.find(({ id }) => id === messageId)?.parentId)
      if (!conversation || !user) throw new WorkbenchError('E_NOT_FOUND', 'There is no such message.')
      const made = answerTo(conversation, user, modelId)
      store({ ...conversation, messages: [...conversation.messages, made.answer], activeLeafId: made.answer.id, generationId: made.generationId })
      return made
    },
    'chat.stop': () => ({}),
    'engine.calibrate': () => states['engine.calibration'].calibration,
    'models.load': ({ modelId }) => {
      fake.set('engine.status', { loaded: [{ modelId, instanceId: 'i1', state: 'ready', progress: 1, maxSeqLen: 512, cacheFormat: 'f16', threads: 2, backend: 'cpu', bf16Attention: false, weightsBytes: 1e7, loadMs: 84 }] })
      return { instanceId: 'i1' }
    },
    'models.unload': () => { fake.set('engine.status', { loaded: [] }); return {} },
    'models.remove': ({ modelId }) => { fake.set('models', { models: states.models.models.filter(model => model.id !== modelId) }); return {} },
    'models.estimate': ({ modelId, seqLen }) => ({ ...states.models.models.find(model => model.id === modelId)?.estimate, seqLen }),
    'models.inspect': () => ({
      metadata: [{ key: 'general.architecture', type: 'string', value: 'deepseek2' }, { key: 'deepseek2.expert_count', type: 'u32', value: '32' }, { key: 'tokenizer.ggml.tokens', type: 'array of 4096 string', value: '["!", "\\"", "#", …]' }],
      tensors: Array.from({ length: 1025 }, (_, i) => ({ name: `blk.${Math.floor(i / 17)}.ffn_up_exps.${i % 17}.weight`, format: i % 3 ? 'Q4_K' : 'F32', shape: [7168, 2048, 256], bytes: 2e9 / (i + 1), part: 0 })),
      chatTemplate: '{% for message in messages %}{{ message.content }}{% endfor %}',
    }),
    'settings.update': ({ patch }) => { fake.set('settings', patch); return states.settings },
    'settings.reset': () => { fake.set('settings', sample.settings); return states.settings },
    'server.start': ({ port }) => { fake.set('server.status', { state: 'running', port: Number(port ?? states.settings.serverPort), urls: [`http://127.0.0.1:${port ?? states.settings.serverPort}`] }); return states['server.status'] },
    'server.stop': () => { fake.set('server.status', { state: 'stopped', urls: [] }); return states['server.status'] },
    'server.createToken': () => ({ token: 'mb-3f6a0c9d1e5b47a2a8c4d7e9f0123456' }),
    'notices.dismiss': () => { fake.set('notices', []); return {} },
  }
  for (const [method, handler] of Object.entries(answers)) fake.on(method, handler as Handler)
  return fake
}
