export const chat = {
  title: 'Chat', newChat: 'New chat', untitled: 'New chat', list: 'Chats', search: 'Search chats', searchEmpty: 'No chat matches “{query}”.',
  listEmpty: 'Your chats will be listed here.', today: 'Today', yesterday: 'Yesterday', lastWeek: 'Last 7 days', older: 'Older', actionsOf: 'Actions for “{title}”',
  renameTitle: 'Rename the chat', name: 'Name', deleted: '“{title}” was deleted.', hideList: 'Hide the list', showList: 'Show the list',
  messages: 'Messages', you: 'You', assistant: 'Answer', answerBy: 'Answer by {name}',

  composer: 'Message', placeholder: 'Write a message', placeholderNoModel: 'Choose a model first', send: 'Send', stop: 'Stop',
  hint: 'Enter sends, Shift and Enter starts a new line', contextUse: '{used} of {total} tokens in the context', sendLoads: '{name} is loaded when you send.',

  emptyTitle: 'What shall we think about?', emptyText: 'Everything stays on this machine.',
  demoText: 'The built-in model is a tiny demonstration of 6 million parameters. It likes sums and short stories, and it is often wrong. Add a larger model for real work.',
  suggestions: 'Suggestions', suggestSum: 'Rose has 17 kites. Anna gives Rose 24 more kites. How many kites does Rose have?', suggestStory: 'Tell me a short story.', suggestMultiply: 'What is 12 * 3?',
  noModelTitle: 'Add a model to start', noModelText: 'Drop a GGUF file anywhere on this window, or choose one.',

  model: 'Model', chooseModel: 'Choose a model', modelLoaded: 'loaded', modelLoading: 'loading {percent}', builtIn: 'built in', cannotRun: 'cannot run', manageModels: 'Manage models',
  loadingModel: 'Loading {name}', loadFailed: '{name} could not be loaded', sendFailed: 'The message was not sent',
  needs: 'It needs about {needed}; {available} are free.',

  waiting: 'Waiting for the model', readingPrompt: 'Reading the prompt: {processed} of {total} tokens', readingCached: '{cached} from the cache',
  thinking: 'Thinking', thought: 'Thought for {time}', thoughtShort: 'Thoughts', stopped: 'You stopped this answer.', interrupted: 'This answer was cut short: the host ended while it was written.',
  failed: 'This answer failed', emptyAnswer: 'The model ended its answer without a word.',
  answerStarted: 'The answer begins.',
  copyMessage: 'Copy', copyCode: 'Copy code', edit: 'Edit', regenerate: 'Regenerate', previous: 'Previous version', next: 'Next version', version: 'Version {index} of {count}',
  editSend: 'Send', editHint: 'Sending makes a new branch; the old one stays.', jump: 'Jump to the latest', code: 'Code',

  statSpeed: 'Speed', statFirst: 'First token', statTokens: 'Tokens', statPrompt: 'Prompt', statCached: 'From cache', statContext: 'Context', statStop: 'Ended', statSeed: 'Seed', statModel: 'Model',
  statPromptSpeed: 'Prompt speed', stats: 'Figures of this answer', tokens: '1 token | {n} tokens', tokensOf: '{used} of {total}',
  stop_stop: 'by itself', stop_length: 'token limit', stop_cancelled: 'stopped by you', stop_error: 'failed',
  statDraft: 'Drafts', statDraftState: 'Drafting', statDraftSpeedup: 'Speed with drafts', draftShare: '{share} of {drafted} accepted', draftNone: 'none made', draftSummary: '{share} drafts', times: '{factor}×',
  draftReason_not_asked: 'off', draftReason_no_draft_layer: 'no draft layer', draftReason_always: 'always on', draftReason_measuring: 'on, still measuring', draftReason_gains: 'on: it is faster', draftReason_no_gain: 'off: it is not faster', draftReason_failed: 'off: it failed',

  tune: 'Sampling and system prompt', tuneTitle: 'Sampling', temperature: 'Temperature', samplingTopK: 'Top-k', samplingTopKHint: '0 turns it off.',
  topP: 'Top-p', minP: 'Min-p', repeatPenalty: 'Repeat penalty', seed: 'Seed', seedHint: '−1 takes a new one each time.', maxTokens: 'Longest answer', maxTokensHint: '0 uses what is left of the context.',
  systemPrompt: 'System prompt', systemPromptHint: 'Said to the model before the conversation.', resetSampling: 'Reset to defaults',
  draft: 'Draft ahead', draftMode_off: 'Off', draftMode_auto: 'Auto', draftMode_always: 'Always', draftTokens: 'Tokens per draft',
  draftHint: 'The model\'s draft layer guesses tokens that are then checked together. The answer stays the same; auto drafts only while that is faster.',

  linkTitle: 'Open this link?', linkText: 'It leads out of Moebius. The text came from a model: check the address.', linkOpen: 'Open in the browser', linkCopy: 'Copy the address', linkHost: 'Site: {host}', linkRefused: 'Only https addresses are opened.',
  strip: 'Routing', stripShow: 'Show the routing strip', stripHide: 'Hide the routing strip', stripWaiting: 'The map lights up with the first token.', stripDense: 'This model has no experts: every token uses all of its weights.',
  stripNone: 'Load a mixture-of-experts model to watch its router.', stripTitle: 'Expert load by layer', stripCell: 'Layer {layer}, expert {expert}, {share}', stripCellActive: 'Layer {layer}, expert {expert}, {share}, chosen for the last token',
  stripLayers: 'Layers', stripTokens: '{n} tokens seen', stripTable: 'Show as table', stripMap: 'Show as map', stripTableTitle: 'Most used experts of each layer', stripLayer: 'Layer', stripTop: 'Most used experts', stripRange: '{from} to {to}',
  stripLow: 'rarely', stripHigh: 'often', stripHint: 'Arrow keys move from cell to cell.', stripLast: 'Outlined cells: last token', stripSummary: '{layers} layers × {experts} experts, {active} active',
}
