// The contract's methods over the services: one line of adaptation each.
import type { Contract, HostInfo, ModelEntry } from '../contract'
import { WorkbenchError } from '../contract'
import type { Handlers, StreamContext } from '../contract/rpc'
import { withExpertMemory } from '../services/expert-memory'
import type { LibraryModel } from '../services/model-library'
import type { Services } from '../services/services'
import type { LogLine } from '../services/logs'
import type { ModelEntries } from './model-entries'
import type { RestControl } from './rest-control'

export interface HandlerParts { services: Services, entries: ModelEntries, rest: RestControl, info: () => HostInfo }

export function contractHandlers({ services, entries, rest, info }: HandlerParts): Handlers<Contract> {
  const { library, models, calibration, conversations, chat, settings, notices, tokens, log } = services
  return {
    calls: {
      'host.info': info,
      'host.restart': () => { throw new WorkbenchError('E_CONFLICT', 'The host is running.', { hint: 'It is started again by itself when it ends.' }) },

      'engine.calibrate': ({ again }, { signal }) => calibration.get({ again, signal }),

      'models.import': async ({ paths }) => {
        const { imported, problems } = await library.import(paths)
        return { imported: await Promise.all(imported.map((model: LibraryModel): Promise<ModelEntry> => entries.entryOf(model))), problems }
      },
      'models.inspect': async ({ modelId }) => {
        const { metadata, tensors, chatTemplate } = await library.inspect(modelId)
        return { metadata, tensors, chatTemplate }
      },
      'models.remove': async ({ modelId }) => {
        library.requireRemovable(modelId)
        if (models.isBusy(modelId)) throw new WorkbenchError('E_CONFLICT', 'This model is being loaded or is answering.', { hint: 'Stop that first.', retryable: true })
        await models.unload(modelId)
        library.remove(modelId)
        return {}
      },
      'models.estimate': ({ modelId, seqLen, expertMemory }) => models.estimate(modelId, seqLen, expertMemory),
      'models.load': async ({ modelId, maxSeqLen, force, touch, expertMemory }, { signal }) => {
        const { instanceId } = await models.load(modelId, {
          signal, ...(maxSeqLen !== undefined && { maxSeqLen }), ...(force !== undefined && { force }), ...(touch !== undefined && { touch }),
          ...(expertMemory !== undefined && { expertMemory }),
        })
        settings.update({ lastModelId: modelId, ...(expertMemory !== undefined && { expertMemory: withExpertMemory(settings.value.expertMemory, modelId, expertMemory) }) })
        return { instanceId }
      },
      'models.unload': async ({ modelId }) => {
        await models.unload(modelId)
        return {}
      },

      'conversations.list': ({ search }) => conversations.list(search),
      'conversations.get': ({ conversationId }) => chat.withGeneration(conversations.get(conversationId)),
      'conversations.create': ({ modelId }) => conversations.create(modelId),
      'conversations.update': ({ conversationId, ...change }) => {
        return chat.withGeneration(conversations.update(conversationId, change))
      },
      'conversations.delete': ({ conversationId }) => {
        if (chat.isAnswering(conversationId)) throw new WorkbenchError('E_CONFLICT', 'This conversation is being answered.', { hint: 'Stop the answer first.', retryable: true })
        conversations.delete(conversationId)
        return {}
      },
      'conversations.restore': ({ conversationId }) => conversations.restore(conversationId),

      'chat.send': ({ conversationId, parentId, content, modelId }) => {
        const sent = chat.send(conversationId, parentId, content, modelId)
        if (settings.value.lastModelId !== modelId) settings.update({ lastModelId: modelId })
        return sent
      },
      'chat.regenerate': ({ messageId, modelId }) => chat.regenerate(messageId, modelId),
      'chat.stop': ({ generationId }) => {
        chat.stop(generationId)
        return {}
      },

      'settings.update': ({ patch }) => settings.update(patch),
      'settings.reset': () => settings.reset(),

      'server.start': ({ port }) => rest.start(port),
      'server.stop': () => rest.stop(),
      'server.createToken': ({ name }) => ({ token: tokens.create(name) }),

      'notices.dismiss': () => {
        notices.dismiss()
        return {}
      },
    },
    streams: {
      'chat.watch': async ({ generationId }, { send, signal }) => {
        for await (const event of chat.watch(generationId, signal)) await send(event)
      },
      'routing.live': ({ modelId }, { send, signal }) => untilAborted(signal, services.routingTraces.view(modelId, send)),
      'logs.tail': ({ lines }, context) => tailLog(log, lines, context),
    },
  }
}

async function tailLog(log: Services['log'], lines: number, { send, signal }: StreamContext<LogLine>): Promise<void> {
  const waiting = log.tail(lines)
  let wake = (): void => {}
  const off = log.onDidLog.on(line => {
    // A reader that does not read loses the oldest lines, not the host's memory.
    if (waiting.push(line) > 1000) waiting.shift()
    wake()
  })
  signal.addEventListener('abort', () => wake())
  try {
    while (!signal.aborted) {
      const more = new Promise<void>(resolve => { wake = resolve })
      for (let line = waiting.shift(); line && !signal.aborted; line = waiting.shift()) await send(line)
      if (waiting.length === 0) await more
    }
  } finally {
    off()
  }
}

function untilAborted(signal: AbortSignal, off: () => void): Promise<void> {
  return new Promise(resolve => {
    signal.addEventListener('abort', () => {
      off()
      resolve()
    }, { once: true })
  })
}
