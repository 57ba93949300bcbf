import { flushPromises } from '@vue/test-utils'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import AnswerStats from '../../renderer/features/chat/AnswerStats.vue'
import SamplingPanel from '../../renderer/features/chat/SamplingPanel.vue'
import { useConversationStore } from '../../renderer/stores/conversations'
import { useModelStore } from '../../renderer/stores/models'
import { useSettingsStore } from '../../renderer/stores/settings'
import type { FakeWorkbench } from './fake-workbench'
import { demo, stats } from './sample-data'
import { buttonNamed, mountInWindow, startFake, type Mounted } from './support'

let fake: FakeWorkbench
let mounted: Mounted | undefined
beforeEach(() => { fake = startFake() })
afterEach(() => { mounted?.wrapper.unmount(); document.body.innerHTML = '' })
const text = (): string => document.body.textContent
const draft = { isOn: true, reason: 'gains' as const, steps: 40, drafted: 40, accepted: 34, predictedSpeedup: 1.314 }

it('shows beside the speed how many drafts came true, and why the model drafts', async () => {
  mounted = await mountInWindow(AnswerStats, { props: { stats: { ...stats, draft }, modelName: 'Demo' } })
  expect(text()).toContain('85% drafts')
  buttonNamed('Figures of this answer').click()
  await flushPromises()
  for (const part of ['85% of 40 accepted', 'on: it is faster', '1.31×']) expect(text()).toContain(part)
})

it('says nothing of drafts where there are none', async () => {
  mounted = await mountInWindow(AnswerStats, { props: { stats, modelName: 'Demo' } })
  buttonNamed('Figures of this answer').click()
  await flushPromises()
  expect(text().toLowerCase()).not.toContain('draft')
})

it('lets the user choose when to draft, with models that can', async () => {
  mounted = await mountInWindow(SamplingPanel)
  await flushPromises()
  buttonNamed('Sampling').click()
  await flushPromises()
  expect(useModelStore().preferred?.id).toBe(demo.id)
  expect(text()).toContain('Tokens per draft')
  vi.useFakeTimers()
  buttonNamed('Always').click()
  vi.advanceTimersByTime(400)
  vi.useRealTimers()
  await flushPromises()
  expect(useConversationStore().sampling).toMatchObject({ draft: 'always', draftTokens: 1, temperature: 0.8 })
})

it('hides the choice with models that cannot', async () => {
  mounted = await mountInWindow(SamplingPanel)
  fake.set('models', { models: [{ ...demo, card: { ...demo.card!, nMtpLayers: 0 } }] })
  await flushPromises()
  buttonNamed('Sampling').click()
  await flushPromises()
  expect(useSettingsStore().values?.sampling.draft).toBe('auto')
  expect(text()).not.toContain('Draft ahead')
})
