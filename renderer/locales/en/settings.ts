export const settings = {
  title: 'Settings', appearance: 'Appearance', theme: 'Theme', theme_system: 'System', theme_light: 'Light', theme_dark: 'Dark', theme_contrast: 'High contrast', language: 'Language', locale_system: 'System', locale_en: 'English', 'locale_zh-CN': '简体中文',
  motion: 'Reduce motion', motion_system: 'System', motion_on: 'On', motion_off: 'Off', strip: 'Show the routing strip beside the chat', stripHint: 'Draws only while a model is writing.',

  engine: 'Engine', engineHint: 'Applies when a model is loaded the next time.', threads: 'Threads', threadsHint: '0 uses the {n} physical cores.', context: 'Context length', contextHint: 'In tokens. 0 takes the model’s own length, as far as memory allows.',
  cacheFormat: 'Cache format', cacheFormatHint: 'Smaller formats fit longer contexts at some loss of precision.', exact: 'Exact activations', exactHint: 'Computes with full-precision activations: slower, for comparing results.',
  bf16Attention: 'Approximate prompt attention (bfloat16)', bf16AttentionHint: 'Long prompts are read faster; queries, keys and values are rounded to 8 bits. Writing the answer rounds nothing. Without effect with exact activations.', bf16AttentionMissing: 'This processor has no bfloat16 dot products.',

  calibration: 'Limits of this machine', calibrationText: 'Measured with the engine’s threads and instruction set. Every share of a limit that Moebius shows divides by these.', peakRead: 'Memory read', peakInt8: 'Int8 dot products', peakF32: 'Float multiply-adds', peakBf16: 'BFloat16 dot products',
  tiles: 'Prefill multiplies in tiles', tilesFrom: 'from 1 column | from {n} columns', tilesFromTo: 'from {least} to {most} columns, depending on the format', mlaKeys: 'MLA expands its keys', mlaFrom: 'from about {n} prompt tokens behind {history}', mlaNever: 'never behind {history} tokens',
  thresholdDetails: 'By format', thresholdText: 'With fewer columns (tokens that share a matrix), reading the weights row by row is faster. A model that is loaded now uses these values; a loaded one keeps its own.', columns: 'From columns', formats: 'Formats', mlaCost: 'An operation of attention in latent space takes {cost} times as long as one with expanded keys (DeepSeek-V2’s heads).',
  measureAgain: 'Measure again', measuring: 'Measuring: a few seconds on all threads…', measureWaiting: 'Waiting for the running answers to end…', measureFailed: 'The machine was not measured', measuredAt: 'Measured {date} · {device} · {level} · {threads} threads',

  defaults: 'New chats', systemPrompt: 'System prompt', systemPromptHint: 'Said to the model at the beginning of each new chat.', temperature: 'Temperature', maxTokens: 'Longest answer', maxTokensHint: 'In tokens. 0 uses what is left of the context.',

  server: 'Server', serverEnabled: 'Start the server with Moebius', serverEnabledHint: 'Otherwise it starts from the server panel.', serverPort: 'Port', requireToken: 'Require a token',

  shortcuts: 'Keyboard shortcuts', shortcutsText: 'All of them, for this window.', action: 'Action', keys: 'Keys', composerSend: 'Send the message', composerLine: 'New line in the message',
  data: 'Data', dataFolderHint: 'Conversations, settings and logs. Model files stay where they are.', openFolder: 'Open the folder', copyPath: 'Copy path',
  about: 'About', version: 'Version', host: 'Runs as', host_electron: 'desktop app', host_serve: 'serve, in a browser', host_cli: 'command line', node: 'Node', engineVersion: 'Engine', backends: 'Computing devices', available: 'available', unavailable: 'not available', levels: 'Instruction sets',
  licences: 'Open source under the MIT licence.', privacy: 'Moebius sends nothing over the network unless you ask it to.',
  resetTitle: 'Reset all settings', resetText: 'Conversations and models stay.', resetButton: 'Reset settings', resetDone: 'All settings are back to their defaults.', saveFailed: 'The setting was not saved',
}
