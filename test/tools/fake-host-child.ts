// The host process over the fake engine, for tests of the supervisor and of `serve`.
import { parentChannel } from '../../electron/host/child-process-host'
import { runHostProgram } from '../../electron/host/host-program'
import { FakeEngine } from './fake-engine'

runHostProgram(parentChannel(), () => {
  const { answerWords = 200, tokenDelayMs = 10 } = JSON.parse(process.env.MOEBIUS_FAKE_ENGINE ?? '{}') as { answerWords?: number, tokenDelayMs?: number }
  return new FakeEngine({ tokenDelayMs, maxSeqLen: 4096, answer: () => Array.from({ length: answerWords }, (_, i) => `w${i} `).join('') })
})
