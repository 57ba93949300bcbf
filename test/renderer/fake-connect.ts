// Stands in for renderer/api/connect.ts in `--mode fake`: sample conversations, and answers
// written by a timer with a made-up routing.
import { encodeRoutingFrame, type ChatEvent, type Message } from '../../electron/contract'
import type { Workbench } from '../../renderer/api/workbench'
import { createFakeWorkbench, type FakeWorkbench } from './fake-workbench'
import * as sample from './sample-data'

const answer = 'One day, Ella went to the river with her friend Ben. On the way, Ella met an owl. The owl was very sad and cried. '.repeat(16)

export function connectWorkbench(): Workbench {
  const fake = createFakeWorkbench()
  const seed = [sample.conversation(), sample.conversation({ id: 'c2', title: 'A short story about an owl', updatedAt: Date.now() - 9e7 }), sample.conversation({ id: 'c3', title: 'Router or gate? Words for one thing', updatedAt: Date.now() - 4e8 })]
  for (const chat of seed) fake.conversations.set(chat.id, { ...chat, messages: chat.messages.map(message => ({ ...message, conversationId: chat.id })) })
  fake.set('conversations', seed)
  const open = fake.open
  fake.open = (method, params, handlers) => {
    const close = open(method, params, handlers)
    if (method === 'chat.watch') write(fake, (params as { generationId: string }).generationId)
    if (method === 'routing.live') routing(fake, handlers.onItem as (bytes: Uint8Array) => void)
    return close
  }
  Object.assign(window, { fake })
  return fake
}

function write(fake: FakeWorkbench, generationId: string): void {
  const conversation = [...fake.conversations.values()].find(chat => chat.generationId === generationId)
  const started = conversation?.messages.find(message => message.state === 'streaming')
  if (!conversation || !started) return
  const words = answer.split(/(?<= )/)
  let at = 0
  const send = (event: ChatEvent): void => fake.emit(event, generationId)
  const timer = setInterval(() => {
    if (at < 6) send({ type: 'reasoning', text: `Step ${at + 1}. ` })
    else if (at === 6) send({ type: 'reasoning-end', reasoningMs: 320 })
    else send({ type: 'content', text: words[at - 7] ?? '' })
    if (++at < words.length && !fake.calls.some(call => call.method === 'chat.stop')) return
    clearInterval(timer)
    const message: Message = { ...started, state: 'complete', content: words.slice(0, at - 7).join(''), reasoning: 'Steps.', reasoningMs: 320, stats: sample.stats }
    fake.conversations.set(conversation.id, { ...conversation, generationId: undefined, messages: conversation.messages.map(other => other.id === message.id ? message : other) })
    send({ type: 'end', message })
  }, 40)
}

function routing(fake: FakeWorkbench, onItem: (bytes: Uint8Array) => void): void {
  const [nLayers, nRoutedExperts, nActiveExperts] = [5, 32, 4]
  let firstToken = 0
  setInterval(() => {
    if (firstToken > 0 && !fake.streams.some(stream => stream.method === 'chat.watch')) return
    const count = new Uint16Array(nLayers * nRoutedExperts)
    const lastIds = new Uint16Array(nLayers * nActiveExperts)
    for (let i = 0; i < lastIds.length * 6; i++) {
      const layer = Math.floor(i / 6 / nActiveExperts)
      const expert = Math.floor(Math.abs(Math.sin(layer * 7 + i * i + firstToken)) ** 2 * nRoutedExperts) % nRoutedExperts
      count[layer * nRoutedExperts + expert]!++
      lastIds[Math.floor(i / 6)] = expert
    }
    onItem(encodeRoutingFrame({ kind: 'aggregate', prefill: false, epoch: 1, nTokens: 6, firstToken, nLayers, nRoutedExperts, nActiveExperts, firstMoeLayer: 1, lastIds, lastWeights: new Float32Array(lastIds.length).fill(0.25), count }))
    firstToken += 6
  }, 80)
}
