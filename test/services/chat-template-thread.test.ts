// Where no process of its own can be had, templates run in a thread.
import { expect, it } from 'vitest'
import { renderChatTemplate, TemplateSandbox } from '../../electron/services/chat-template'

const onlyInThreads = `if (require('node:worker_threads').isMainThread) process.exit(9)
host.onMessage(({ id }) => host.post({ id, text: 'from a thread' }))
host.post({ ready: true })`

it('serves from a thread when processes end before they say a word', async () => {
  const sandbox = new TemplateSandbox({ heapMegabytes: 64 }, onlyInThreads)
  expect(await sandbox.render({})).toBe('from a thread')
  expect(sandbox.pid).toBeUndefined()
  sandbox.close()
  const render = (template: string): Promise<string> => renderChatTemplate(template, { messages: [{ role: 'user', content: 'x' }], addGenerationPrompt: true, bosToken: '<s>', eosToken: '</s>' })
  expect(await render('{{ bos_token }}{{ messages[0].content|upper }}')).toBe('<s>X')
  await expect(render('{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}')).rejects.toMatchObject({ code: 'E_BAD_REQUEST' })
  expect(await render('{{ 1 + 1 }}')).toBe('2')
})
