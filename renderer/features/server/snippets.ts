// Ready-made calls of the server. `baseUrl` may or may not end in /v1.
export interface SnippetInput { baseUrl: string, model: string, key: string, prompt: string, withToken: boolean }

const api = (baseUrl: string): string => `${baseUrl.replace(/\/(v1\/?)?$/, '')}/v1`
const keyOf = ({ key, withToken }: SnippetInput): string => withToken ? key : 'local'

export function curlSnippet(input: SnippetInput): string {
  const body = JSON.stringify({ model: input.model, messages: [{ role: 'user', content: input.prompt }], stream: true })
  return [
    `curl ${api(input.baseUrl)}/chat/completions \\`,
    ...(input.withToken ? [`  -H 'Authorization: Bearer ${input.key}' \\`] : []),
    '  -H \'Content-Type: application/json\' \\',
    `  -d '${body.replaceAll('\'', '\'\\\'\'')}'`,
  ].join('\n')
}

export function pythonSnippet(input: SnippetInput): string {
  return [
    'from openai import OpenAI', '',
    `client = OpenAI(base_url=${JSON.stringify(api(input.baseUrl))}, api_key=${JSON.stringify(keyOf(input))})`,
    'answer = client.chat.completions.create(',
    `    model=${JSON.stringify(input.model)},`,
    `    messages=[{"role": "user", "content": ${JSON.stringify(input.prompt)}}],`,
    ')',
    'print(answer.choices[0].message.content)',
  ].join('\n')
}

export function nodeSnippet(input: SnippetInput): string {
  return [
    'import OpenAI from \'openai\'', '',
    `const client = new OpenAI({ baseURL: ${JSON.stringify(api(input.baseUrl))}, apiKey: ${JSON.stringify(keyOf(input))} })`,
    'const answer = await client.chat.completions.create({',
    `  model: ${JSON.stringify(input.model)},`,
    `  messages: [{ role: 'user', content: ${JSON.stringify(input.prompt)} }],`,
    '})',
    'console.log(answer.choices[0].message.content)',
  ].join('\n')
}
