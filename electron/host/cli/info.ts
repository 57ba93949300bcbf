// moebius info: what a model file holds and what the loader derives from it, without loading.
import type { EngineEstimate, GgufInspection } from '../../engine/types'
import { type Command, exitCodes } from './command'
import { formatBytes, formatCount, formatPairs, formatTable, printable, toJsonLine } from './format'

export const infoCommand: Command = {
  name: 'info',
  usage: 'info MODEL [--tensors] [--metadata] [--json]',
  summary: 'Show what a model file holds: shape, experts, formats, derived values and their origin.',
  options: [
    { name: 'tensors', help: 'List every tensor' },
    { name: 'metadata', help: 'List every metadata key (long arrays are cut)' },
    { name: 'template', help: 'Show the chat template' },
  ],
  async run(args, context) {
    const path = await context.resolveModel(args.model())
    const engine = await context.engine()
    const inspection = await engine.inspect(path)
    const { experts } = inspection.card.supported ? await engine.estimate(path, 1, 'f16') : {}
    const { card, parts, metadata, tensors, chatTemplate } = inspection
    if (args.flag('json')) {
      context.writeOut(toJsonLine({
        path, parts, card, ...(experts && { streaming: { leastExpertMemory: experts.leastBytes, mostExpertMemory: experts.mostBytes } }),
        ...(args.flag('metadata') && { metadata }), ...(args.flag('tensors') && { tensors }), ...(args.flag('template') && { chatTemplate }),
      }))
      return exitCodes.ok
    }
    context.writeOut(cardText(path, inspection, experts))
    if (args.flag('metadata')) context.writeOut('\n' + formatTable(['key', 'type', 'value'], metadata.map(entry => [printable(entry.key), entry.type, printable(entry.value.replaceAll('\n', '\\n').slice(0, 200))])))
    if (args.flag('tensors')) context.writeOut('\n' + formatTable(['tensor', 'format', 'shape', 'size'], tensors.map(tensor => [printable(tensor.name), tensor.format, tensor.shape.join(' × '), formatBytes(tensor.bytes)]), [3]))
    if (args.flag('template')) context.writeOut(`\n${printable(chatTemplate)}\n`)
    return exitCodes.ok
  },
}

function cardText(path: string, { card, parts }: GgufInspection, streamed: EngineEstimate['experts']): string {
  const experts = card.nRoutedExperts === 0
    ? 'none (dense)'
    : `${card.nRoutedExperts} routed, ${card.nActiveExperts} active, ${card.nSharedExperts} shared${card.nExpertGroups > 1 ? `, ${card.nActiveGroups} of ${card.nExpertGroups} groups` : ''}`
  const pairs: [string, string][] = [
    ['model', printable(card.name)],
    ['file', parts.length > 1 ? `${path} (${parts.length} parts)` : path],
    ['size', `${formatBytes(card.fileBytes)}, ${card.bitsPerWeight.toFixed(2)} bits per weight`],
    ['architecture', `${printable(card.architecture)}${card.supported ? '' : `  NOT SUPPORTED: ${printable(card.unsupportedReason)}`}`],
    ['parameters', `${formatCount(card.parametersTotal)} in all, ${formatCount(card.parametersActive)} per token`],
    ['layers', `${card.nLayers} (${card.nDenseLayers} dense first${card.nMtpLayers > 0 ? `, ${card.nMtpLayers} for drafts` : ''}), width ${card.embeddingLength}`],
    ['experts', experts],
    ['drafts', card.nMtpLayers > 0 ? 'yes: a layer that guesses tokens ahead (run --draft)' : 'no'],
    ['context length', String(card.maxSeqLen)],
    ['tokenizer', `${printable(card.tokenizer)}, ${card.vocabSize} tokens`],
    ['chat template', card.hasChatTemplate ? 'yes' : 'no'],
    ['licence', printable(card.license) || 'not stated'],
    ['read per token', formatBytes(card.bytesPerToken)],
    ...(streamed ? [['expert memory', `${formatBytes(streamed.leastBytes)} at least, ${formatBytes(streamed.mostBytes)} for all (--expert-memory)`] as [string, string]] : []),
    ['formats', card.quantFormats.map(({ format, nTensors, bytes }) => `${format} ${nTensors} × ${formatBytes(bytes)}`).join(', ')],
  ]
  const derived = card.derived.length === 0 ? '' : '\n' + formatTable(['derived', 'value', 'origin'], card.derived.map(({ name, value, origin }) => [name, printable(value), origin]))
  const warnings = card.warnings.map(text => `warning: ${printable(text)}\n`).join('')
  const ignored = card.ignoredTensors.length === 0 ? '' : `ignored tensors: ${card.ignoredTensors.map(printable).join(', ')}\n`
  return formatPairs(pairs) + derived + (warnings || ignored ? '\n' : '') + warnings + ignored
}
