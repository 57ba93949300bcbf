export const models = {
  title: 'Models', add: 'Add model', addFolder: 'Add folder', search: 'Search models', searchEmpty: 'No model matches “{query}”.', list: 'Models on this machine',
  emptyTitle: 'No models yet', emptyText: 'Drop a GGUF file or a folder anywhere on this window. Files stay where they are.', builtIn: 'Built in', loaded: 'Loaded', broken: 'Damaged', missing: 'File is gone', unsupported: 'Cannot run', moe: '{active} of {total} experts', dense: 'Dense',
  demoTitle: 'A tiny demonstration', demoText: 'This model was trained for Moebius so that the first start has something real to run: 6 million parameters with the full DeepSeek-V3 structure. It writes simple stories and small sums, is often wrong, and knows nothing of the world.',

  load: 'Load', unload: 'Unload', chat: 'Chat', cancelLoad: 'Cancel loading', reveal: 'Show in folder', copyPath: 'Copy path', remove: 'Take off the list', more: 'More actions', loadingProgress: 'Loading, {percent}', loadAnyway: 'Load anyway',
  loadedIn: 'Loaded in {time} with a context of {seqLen} tokens, {threads} threads, cache {cacheFormat}', bf16Attention: 'Approximate: prompt attention in bfloat16.',
  readWhenUsed: 'The weights are larger than the memory available: they are read when they are used.',

  tabs: 'About this model', overview: 'Overview', metadata: 'Metadata', tensors: 'Tensors', template: 'Chat template',
  parametersTotal: 'Parameters', parametersActive: 'Active per token', context: 'Context length', fileSize: 'File size', parts: '{n} parts', bitsPerWeight: 'Bits per weight',
  bytesPerToken: 'Read per token', ceiling: 'At most on this machine', ceilingHint: 'by memory speed', layers: 'Layers', denseLayers: '{n} dense', embedding: 'Embedding length', experts: 'Experts', expertsValue: '{active} of {total}', sharedExperts: '{n} shared', groups: 'Expert groups', groupsValue: '{active} of {total}',
  mtp: 'Draft layers (MTP)', vocabulary: 'Vocabulary', tokenizer: 'Tokenizer', licence: 'Licence', licenceNone: 'not stated in the file', chatTemplate: 'Chat template', tokensUnit: '{n} tokens', path: 'File',

  memory: 'Memory', memoryText: 'What loading takes, against what is free now.', memoryContext: 'Context length', memoryWeights: 'Weights', memoryCache: 'KV cache', memoryScratch: 'Working memory', memoryFits: '{total} needed, {available} free: it fits.',
  memoryTight: '{total} needed, {available} free: it does not fit.', memoryBar: 'Memory by use',
  stream: 'Stream experts from the disk', streamText: 'Experts are read when the router chooses them, and the last used stay in memory. The answers are the same, bit for bit.', streamMemory: 'Memory for experts', streamSlots: 'Holds {slots} of {experts} experts in each layer. At least {least}.',
  streamSuggested: 'With its experts streamed it would fit, with {memory} for them.', streamWith: 'Stream with {memory}', streamNextLoad: 'Applies the next time the model is loaded.', streamCounters: '{share} of the experts asked for were in memory; {read} read at {speed}/s.', memoryResident: 'Resident weights', memoryExperts: 'Experts in memory',
  formats: 'Number formats', formatsText: 'How the weights are stored.', formatsBar: 'Bytes by number format', formatTensors: '1 tensor, {bytes} | {n} tensors, {bytes}',
  places: 'Where the bytes are', placesBar: 'Bytes by part of the model', class_experts: 'Experts', class_sharedExperts: 'Shared experts', class_attention: 'Attention', class_dense: 'Dense layers', class_router: 'Router', class_head: 'Output head', class_embedding: 'Embedding', class_norms: 'Norms', class_other: 'Other',
  derived: 'Derived values', derivedText: 'What the loader worked out, and from where.', derivedName: 'Value', derivedValue: 'Result', derivedOrigin: 'Taken from', origin_key: 'the file’s metadata', origin_tensor: 'the shape of a tensor', origin_table: 'a built-in table', origin_default: 'a default', origin_override: 'an override',
  warnings: 'Worth knowing', ignored: 'Tensors left unused: {names}', unsupportedTitle: 'This model cannot run yet',

  metadataSearch: 'Search metadata', metadataCount: '{shown} of {total} entries', key: 'Key', type: 'Type', value: 'Value', tensorSearch: 'Search tensors', tensorCountShown: '{shown} of {total} tensors', name: 'Name', format: 'Format', shape: 'Shape', bytes: 'Size',
  templateNone: 'The file has no chat template. Messages are sent in a plain form.', templateCopy: 'Copy the template', inspecting: 'Reading the file', inspectFailed: 'The file could not be read', tableMetadata: 'Metadata of the file', tableTensors: 'Tensors of the file',
}
