// What the loader knows about a file, in the words of the contract.
import type { ModelCard } from '../contract'
import type { FileInspection, ModelInfo } from '../../native/addon'

type Origin = ModelCard['derived'][number]['origin']

const origins: Record<string, Origin> = {
  key: 'key', tensor: 'tensor', table: 'table', override: 'override', default: 'default',
  family: 'default',  // fixed by the architecture: nothing in the file says it
}

const classNames: Record<string, keyof ModelCard['tensorClassBytes']> = {
  experts: 'experts', shared_experts: 'sharedExperts', attention: 'attention', dense: 'dense',
  router: 'router', head: 'head', embedding: 'embedding', norms: 'norms',
}

export function modelCard(info: ModelInfo, problem = ''): ModelCard {
  const tensorClassBytes: ModelCard['tensorClassBytes'] = {
    experts: 0, sharedExperts: 0, attention: 0, dense: 0, router: 0, head: 0, embedding: 0, norms: 0, other: 0,
  }
  for (const item of info.tensorClasses) tensorClassBytes[classNames[item.name] ?? 'other'] += item.bytes
  return {
    name: info.name,
    architecture: info.architecture,
    supported: problem === '',
    unsupportedReason: problem,
    license: info.licence,
    parametersTotal: info.parametersTotal,
    parametersActive: info.parametersActive,
    fileBytes: info.fileBytes,
    nTensors: info.tensorClasses.reduce((sum, item) => sum + item.nTensors, 0),
    nLayers: info.nLayers,
    embeddingLength: info.hiddenSize,
    nRoutedExperts: info.nRoutedExperts,
    nActiveExperts: info.nActiveExperts,
    nSharedExperts: info.nSharedExperts,
    nExpertGroups: info.nExpertGroups,
    nActiveGroups: info.nActiveGroups,
    nDenseLayers: info.nDenseLayers,
    nMtpLayers: info.nMtpLayers,
    maxSeqLen: info.maxSeqLen,
    vocabSize: info.vocabSize,
    tokenizer: [info.tokenizerModel, info.tokenizerPre].filter(Boolean).join(' / '),
    hasChatTemplate: info.chatTemplates.length > 0,
    bitsPerWeight: info.bitsPerWeight,
    bytesPerToken: info.bytesPerToken,
    quantFormats: info.quantFormats.map(({ name, nTensors, bytes }) => ({ format: name, nTensors, bytes })),
    tensorClassBytes,
    derived: info.derived.map(({ name, value, origin }) => ({ name, value, origin: origins[origin] ?? 'default' })),
    warnings: info.warnings,
    ignoredTensors: info.ignoredTensors,
  }
}

export function defaultChatTemplate(info: ModelInfo): string {
  return (info.chatTemplates.find(template => template.name === '') ?? info.chatTemplates[0])?.text ?? ''
}

// Arrays read as '[3] a, b, c', cut ones end in '…'.
export function metadataText(entry: FileInspection['metadata'][number]): string {
  if (!entry.isArray) return entry.values[0] ?? ''
  const rest = entry.count > entry.values.length ? ', …' : ''
  return `[${entry.count}] ${entry.values.join(', ')}${rest}`
}

const suggestionNames: Record<string, string> = {
  temp: 'temperature', temperature: 'temperature', top_k: 'samplingTopK', top_p: 'topP', min_p: 'minP',
  typical_p: 'typicalP', penalty_repeat: 'repeatPenalty', repeat_penalty: 'repeatPenalty',
  penalty_last_n: 'repeatLastN', penalty_freq: 'frequencyPenalty', penalty_present: 'presencePenalty',
}

// The model maker's sampler settings under our names; those we do not know are left out.
export function samplingSuggestion(info: ModelInfo): Record<string, number> {
  const result: Record<string, number> = {}
  for (const { name, value } of info.samplingSuggestions) {
    const known = suggestionNames[name]
    if (known !== undefined) result[known] = value
  }
  return result
}
