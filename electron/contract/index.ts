// THE shared contract between window and host. Pure: imports nothing but zod.
import { z } from 'zod'
import { binary, call, defineContract, stream } from './define'
import {
  Calibration, CalibrationStatus, ChatEvent, Conversation, ConversationSummary, DirectoryEntry, EngineStatus, HostInfo, HostNotice, MemoryEstimate,
  Message, ModelEntry, ModelList, SamplingSettings, ServerStatus, Settings,
} from './schemas'
import { WorkbenchErrorShape } from './errors'

const Id = z.string().min(1).max(200)
const Path = z.string().min(1).max(32_768)
const Text = z.string().max(4_000_000)
const Nothing = z.object({})

export const contract = defineContract({
  version: 1,
  calls: {
    'host.info': call({ in: Nothing, out: HostInfo, scope: 'infer' }),
    // Only while there is no host: it failed too often and waits for the user.
    'host.restart': call({ in: Nothing, out: Nothing, scope: 'manage', errors: ['E_CONFLICT'] }),

    // The stored measurement of this machine, or a new one when there is none or `again` is set.
    // Waits for generations that run; progress is in the state 'engine.calibration'.
    'engine.calibrate': call({ in: z.object({ again: z.boolean() }), out: Calibration, scope: 'manage', errors: ['E_CANCELLED', 'E_MEMORY'] }),

    // Paths are files, folders (searched recursively) or one part of a split set. Indexed in place.
    'models.import': call({
      in: z.object({ paths: z.array(Path).min(1).max(1000) }),
      out: z.object({
        imported: z.array(ModelEntry),
        problems: z.array(z.object({ path: z.string(), error: WorkbenchErrorShape })),
      }),
      scope: 'manage', errors: ['E_GGUF', 'E_SHARD_MISSING', 'E_IO', 'E_NOT_FOUND'], maxBytes: 8_000_000,
    }),
    // Everything in the file: metadata (long arrays cut) and the tensor table, as text for reading.
    'models.inspect': call({
      in: z.object({ modelId: Id }),
      out: z.object({
        metadata: z.array(z.object({ key: z.string(), type: z.string(), value: z.string() })),
        tensors: z.array(z.object({ name: z.string(), format: z.string(), shape: z.array(z.number()), bytes: z.number(), part: z.number() })),
        chatTemplate: z.string(),
      }),
      scope: 'manage', errors: ['E_MODEL_UNKNOWN', 'E_GGUF'],
    }),
    // Takes the entry off the list; the file stays where it is. undo: import the path again.
    'models.remove': call({ in: z.object({ modelId: Id }), out: Nothing, scope: 'manage', errors: ['E_MODEL_UNKNOWN', 'E_CONFLICT'] }),
    'models.estimate': call({
      in: z.object({
        modelId: Id, seqLen: z.number().int().min(0),
        expertMemory: z.number().int().min(0).max(2 ** 50).optional(),  // as in models.load
      }),
      out: MemoryEstimate, scope: 'infer', errors: ['E_MODEL_UNKNOWN', 'E_MEMORY', 'E_UNSUPPORTED'],
    }),
    // Returns when the model is ready; progress is in the state 'engine.status'.
    'models.load': call({
      in: z.object({
        modelId: Id, maxSeqLen: z.number().int().min(0).optional(), force: z.boolean().optional(),
        // Bytes for streamed experts, 0 to map them; kept for later loads. Absent: as the settings say.
        expertMemory: z.number().int().min(0).max(2 ** 50).optional(),
        touch: z.enum(['auto', 'yes', 'no']).optional(),  // whether the weights are read in first; auto: when they fit
      }),
      out: z.object({ instanceId: z.string() }), scope: 'infer',
      errors: ['E_MODEL_UNKNOWN', 'E_MEMORY', 'E_GGUF', 'E_UNSUPPORTED', 'E_CANCELLED'],
    }),
    'models.unload': call({ in: z.object({ modelId: Id }), out: Nothing, scope: 'manage', errors: ['E_MODEL_UNKNOWN'] }),

    'conversations.list': call({ in: z.object({ search: z.string().max(1000).optional() }), out: z.array(ConversationSummary), scope: 'infer' }),
    'conversations.get': call({ in: z.object({ conversationId: Id }), out: Conversation, scope: 'infer', errors: ['E_NOT_FOUND'] }),
    'conversations.create': call({ in: z.object({ modelId: Id.optional() }), out: Conversation, scope: 'infer' }),
    'conversations.update': call({
      in: z.object({
        conversationId: Id, title: z.string().max(500).optional(), systemPrompt: Text.optional(),
        sampling: SamplingSettings.optional(), activeLeafId: Id.optional(), modelId: Id.optional(),
      }),
      out: Conversation, scope: 'infer', errors: ['E_NOT_FOUND'], maxBytes: 8_000_000,
    }),
    // Deleted conversations can be restored until the host ends or 30 days have passed.
    'conversations.delete': call({ in: z.object({ conversationId: Id }), out: Nothing, scope: 'manage', errors: ['E_NOT_FOUND', 'E_CONFLICT'] }),
    'conversations.restore': call({ in: z.object({ conversationId: Id }), out: Conversation, scope: 'manage', errors: ['E_NOT_FOUND'] }),

    // Adds the user's message (a sibling when parentId already has children) and starts an answer.
    'chat.send': call({
      in: z.object({ conversationId: Id, parentId: Id.optional(), content: Text.min(1), modelId: Id }),
      out: z.object({ generationId: z.string(), userMessage: Message, answer: Message }), scope: 'infer',
      errors: ['E_NOT_FOUND', 'E_MODEL_UNKNOWN', 'E_CONTEXT_LENGTH', 'E_CONFLICT', 'E_MEMORY', 'E_LOADING'], maxBytes: 8_000_000,
    }),
    // A further answer to the message's parent, beside the existing ones.
    'chat.regenerate': call({
      in: z.object({ messageId: Id, modelId: Id }),
      out: z.object({ generationId: z.string(), answer: Message }), scope: 'infer', errors: ['E_NOT_FOUND', 'E_MODEL_UNKNOWN', 'E_CONFLICT'],
    }),
    'chat.stop': call({ in: z.object({ generationId: Id }), out: Nothing, scope: 'infer' }),

    'settings.update': call({ in: z.object({ patch: Settings.partial() }), out: Settings, scope: 'manage', maxBytes: 1_000_000 }),
    'settings.reset': call({ in: Nothing, out: Settings, scope: 'manage' }),

    'server.start': call({ in: z.object({ port: z.number().int().min(0).max(65535).optional() }), out: ServerStatus, scope: 'manage', errors: ['E_CONFLICT'] }),
    'server.stop': call({ in: Nothing, out: ServerStatus, scope: 'manage' }),
    // A new token; shown once, stored as a hash.
    'server.createToken': call({ in: z.object({ name: z.string().min(1).max(100) }), out: z.object({ token: z.string() }), scope: 'manage' }),

    'notices.dismiss': call({ in: Nothing, out: Nothing, scope: 'infer' }),
  },
  streams: {
    // Begins with 'start' and the answer so far in one piece, whenever it is opened.
    'chat.watch': stream({ in: z.object({ generationId: Id }), out: ChatEvent, scope: 'infer', credit: 64, drop: 'never', resume: true }),
    // Frames of the layout RoutingFrame/1 (routing-frame.ts): what each layer chose since the last frame.
    'routing.live': stream({ in: z.object({ modelId: Id.optional() }), out: binary('RoutingFrame/1'), scope: 'infer', credit: 4, drop: 'latest', resume: false }),
    'logs.tail': stream({ in: z.object({ lines: z.number().int().min(0).max(1000) }), out: z.object({ at: z.number(), level: z.enum(['info', 'warning', 'error']), text: z.string() }), scope: 'manage', credit: 64, drop: 'never', resume: false }),
  },
  state: {
    'engine.status': EngineStatus,
    'engine.calibration': CalibrationStatus,
    'models': ModelList,
    'settings': Settings,
    'server.status': ServerStatus,
    'conversations': z.array(ConversationSummary),
    // Set after a crash of the previous host; null-free: an empty array when all is well.
    'notices': z.array(HostNotice),
  },
})
export type Contract = typeof contract

// What the shell around the window can do: main in Electron, `serve` in a browser.
export const Capabilities = z.object({
  pickFile: z.boolean(), dropPath: z.boolean(), reveal: z.boolean(), browse: z.boolean(), windowControls: z.boolean(),
  platform: z.string(),
})
export type Capabilities = z.infer<typeof Capabilities>

export const shellContract = defineContract({
  version: 1,
  calls: {
    'shell.capabilities': call({ in: Nothing, out: Capabilities, scope: 'infer' }),
    'shell.pickModel': call({ in: z.object({ folder: z.boolean() }), out: z.object({ paths: z.array(z.string()) }), scope: 'manage', errors: ['E_UNSUPPORTED'] }),
    // A file browser for windows without a file dialog, confined to the host's configured roots.
    'shell.browse': call({
      in: z.object({ path: Path.optional() }),
      out: z.object({ path: z.string(), parent: z.string().optional(), entries: z.array(DirectoryEntry) }),
      scope: 'manage', errors: ['E_NOT_FOUND', 'E_SCOPE', 'E_UNSUPPORTED'],
    }),
    'shell.reveal': call({ in: z.object({ path: Path }), out: Nothing, scope: 'manage', errors: ['E_UNSUPPORTED'] }),
    // https only; the shell asks before it opens.
    'shell.openExternal': call({ in: z.object({ url: z.string().max(4096) }), out: Nothing, scope: 'infer', errors: ['E_BAD_REQUEST', 'E_UNSUPPORTED'] }),
  },
  streams: {},
  state: {},
})
export type ShellContract = typeof shellContract

export * from './define'
export * from './errors'
export * from './schemas'
export * from './routing-frame'
