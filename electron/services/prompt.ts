// From a request to the tokens a model reads.
import { WorkbenchError } from '../contract'
import type { EngineModel } from '../engine/types'
import { promptOpensReasoning, reasoningTagsOf } from './answer-splitter'
import { renderChatTemplate, type TemplateMessage } from './chat-template'
import { LiteralMarks, type MarkedText, specialTextsOf } from './literal-text'

export interface PromptRequest {
  // A conversation, rendered by the model's chat template …
  messages?: TemplateMessage[]
  // … or text or tokens as they are: special tokens in a text are special.
  prompt?: string | ArrayLike<number>
  // Variables for the template: tools, enable_thinking.
  templateVariables?: Record<string, unknown>
  // Whether the template opens the assistant's turn; true when absent.
  addGenerationPrompt?: boolean
}

export interface PreparedPrompt { text: string, tokens: Int32Array, opensReasoning: boolean }

// The text and tokens of a request. Models without a chat template get the plain form of
// plainConversation.
export async function preparePrompt(model: EngineModel, request: PromptRequest): Promise<PreparedPrompt> {
  const { prompt, messages } = request
  if (prompt !== undefined && typeof prompt !== 'string') {
    const tokens = Int32Array.from(prompt)
    const bad = tokens.find(token => token < 0 || token >= model.vocabSize)
    if (bad !== undefined) throw new WorkbenchError('E_BAD_REQUEST', `The prompt has the token ${bad}, but this model's vocabulary ends at ${model.vocabSize - 1}.`)
    return { text: '', tokens, opensReasoning: false }
  }
  if (typeof prompt === 'string') {
    return { text: prompt, tokens: model.encode(prompt, { addSpecial: true, parseSpecial: true }), opensReasoning: false }
  }
  if (!messages || messages.length === 0) throw new WorkbenchError('E_BAD_REQUEST', 'The request has no messages.')
  const { text, literal } = await renderConversation(model, request, messages)
  // Most templates write the begin token themselves; a second one would hurt the answer.
  const { bos } = model.specialTokens
  const addSpecial = !(bos !== '' && text.startsWith(bos))
  const tokens = model.encode(text, { addSpecial, parseSpecial: true, ...(literal.length > 0 && { literal }) })
  return { text, tokens, opensReasoning: promptOpensReasoning(text, reasoningTagsOf(model.chatTemplate)) }
}

// Only the template writes special tokens: those spelled in messages, tools and other variables
// stay text.
async function renderConversation(model: EngineModel, request: PromptRequest, messages: TemplateMessage[]): Promise<MarkedText> {
  const marks = new LiteralMarks(specialTextsOf(model), reasoningTagsOf(model.chatTemplate), model.chatTemplate)
  if (model.chatTemplate.trim() === '') return marks.remove(plainConversation(marks.apply(messages.map(({ role, content }) => ({ role, content })))))
  return marks.remove(await renderChatTemplate(model.chatTemplate, {
    messages, addGenerationPrompt: request.addGenerationPrompt ?? true,
    bosToken: model.specialTokens.bos, eosToken: model.specialTokens.eos,
    ...(request.templateVariables && { extra: request.templateVariables }),
    mark: data => marks.apply(data),
  }))
}

// For models that were never taught to converse: one paragraph per message with the speaker's
// name before it, and an open one for the answer.
export function plainConversation(messages: readonly TemplateMessage[]): string {
  const names = new Map([['user', 'User'], ['assistant', 'Assistant']])
  const paragraphs = messages.map(({ role, content }) => {
    const name = names.get(role)
    return name ? `${name}: ${content}` : content
  })
  return `${paragraphs.join('\n\n')}\n\nAssistant:`
}

export const plainConversationStop = ['\n\nUser:', '\nUser:'] as const
