// Grammars that are fetched when a block asks for them, and the names people give them.
export const languageLoaders = {
  bash: () => import('@shikijs/langs/bash'),
  c: () => import('@shikijs/langs/c'),
  cpp: () => import('@shikijs/langs/cpp'),
  csharp: () => import('@shikijs/langs/csharp'),
  css: () => import('@shikijs/langs/css'),
  diff: () => import('@shikijs/langs/diff'),
  docker: () => import('@shikijs/langs/docker'),
  go: () => import('@shikijs/langs/go'),
  html: () => import('@shikijs/langs/html'),
  ini: () => import('@shikijs/langs/ini'),
  java: () => import('@shikijs/langs/java'),
  javascript: () => import('@shikijs/langs/javascript'),
  json: () => import('@shikijs/langs/json'),
  kotlin: () => import('@shikijs/langs/kotlin'),
  lua: () => import('@shikijs/langs/lua'),
  markdown: () => import('@shikijs/langs/markdown'),
  php: () => import('@shikijs/langs/php'),
  powershell: () => import('@shikijs/langs/powershell'),
  python: () => import('@shikijs/langs/python'),
  r: () => import('@shikijs/langs/r'),
  ruby: () => import('@shikijs/langs/ruby'),
  rust: () => import('@shikijs/langs/rust'),
  sql: () => import('@shikijs/langs/sql'),
  swift: () => import('@shikijs/langs/swift'),
  toml: () => import('@shikijs/langs/toml'),
  tsx: () => import('@shikijs/langs/tsx'),
  typescript: () => import('@shikijs/langs/typescript'),
  xml: () => import('@shikijs/langs/xml'),
  yaml: () => import('@shikijs/langs/yaml'),
} as const

export type LanguageName = keyof typeof languageLoaders

const aliases: Record<string, LanguageName> = {
  'js': 'javascript', 'mjs': 'javascript', 'jsx': 'tsx', 'ts': 'typescript', 'py': 'python', 'python3': 'python', 'sh': 'bash', 'shell': 'bash', 'zsh': 'bash',
  'console': 'bash', 'c++': 'cpp', 'cc': 'cpp', 'h': 'c', 'hpp': 'cpp', 'cs': 'csharp', 'c#': 'csharp', 'rs': 'rust', 'rb': 'ruby', 'kt': 'kotlin', 'yml': 'yaml',
  'md': 'markdown', 'jsonc': 'json', 'dockerfile': 'docker', 'ps1': 'powershell', 'golang': 'go', 'svg': 'xml', 'patch': 'diff',
}

export function resolveLanguage(language: string): LanguageName | undefined {
  const name = language.toLowerCase()
  if (Object.hasOwn(languageLoaders, name)) return name as LanguageName
  return Object.hasOwn(aliases, name) ? aliases[name] : undefined
}
