import { describe, expect, it } from 'vitest'
import { AnswerSplitter, type AnswerSplitterOptions, promptOpensReasoning, reasoningTagsOf, tagTokenTexts } from '../../electron/services/answer-splitter'

const tags = { start: '<think>', end: '</think>' }

function split(chunks: string[], options: Partial<AnswerSplitterOptions> = {}): { reasoning: string, content: string, stoppedBy: string | undefined, pieces: string[] } {
  const splitter = new AnswerSplitter({ tags, ...options })
  const pieces = [...chunks.flatMap(chunk => splitter.push(chunk)), ...splitter.finish()]
  const join = (type: string): string => pieces.filter(piece => piece.type === type).map(piece => piece.text).join('')
  return { reasoning: join('reasoning'), content: join('content'), stoppedBy: splitter.stoppedBy, pieces: pieces.map(piece => piece.text) }
}

describe('AnswerSplitter', () => {
  const samples: [string, Partial<AnswerSplitterOptions>, string, string, string?][] = [
    ['plain answer', {}, '', 'plain answer'],
    ['<think>\nwhy\nnot\n</think>\n\nBecause.', {}, 'why\nnot', 'Because.'],
    ['  \n<think>a</think>b', {}, 'a', 'b'],
    ['still thinking\n</think>\n\nDone <think> is a tag', { startsInReasoning: true }, 'still thinking', 'Done <think> is a tag'],
    ['never ends', { startsInReasoning: true }, 'never ends', ''],
    ['<think></think>x', {}, '', 'x'],
    ['an <think>inline</think> tag', {}, '', 'an <think>inline</think> tag'],
    ['<thin', {}, '', '<thin'],
    ['<think>a</thi', {}, 'a</thi', ''],
    ['<think>a</think>b', { tags: undefined }, '', '<think>a</think>b'],
    ['[THINK]a[/THINK]b', { tags: { start: '[THINK]', end: '[/THINK]' } }, 'a', 'b'],
    ['one STOP two', { stop: ['STOP'] }, '', 'one ', 'STOP'],
    ['<think>STOP here</think>one ST two STOP', { stop: ['STOP'] }, 'STOP here', 'one ST two ', 'STOP'],
    ['abcabd', { stop: ['abd'] }, '', 'abc', 'abd'],
    ['xxaab', { stop: ['aab', 'xa'] }, '', 'x', 'xa'],
    ['half a sto', { stop: ['stop'] }, '', 'half a sto'],
    ['  spaces stay\n\n', { stop: ['', 'zzz'] }, '', '  spaces stay\n\n'],
    ['日本<think>', {}, '', '日本<think>'],
  ]

  it.each(samples)('%s', (text, options, reasoning, content, stoppedBy) => {
    const expected = { reasoning, content, stoppedBy }
    expect(split([text], options)).toMatchObject(expected)
    expect(split([...text], options)).toMatchObject(expected)
    for (let cut = 1; cut < text.length; cut++) expect(split([text.slice(0, cut), text.slice(cut)], options), `cut at ${cut}`).toMatchObject(expected)
  })

  it('shows text at once unless it may become a tag or a stop string', () => {
    const splitter = new AnswerSplitter({ tags, stop: ['END'] })
    expect(splitter.push('Hello')).toEqual([{ type: 'content', text: 'Hello' }])
    expect(splitter.push(' E')).toEqual([{ type: 'content', text: ' ' }])
    expect(splitter.push('N')).toEqual([])
    expect(splitter.push('T')).toEqual([{ type: 'content', text: 'ENT' }])
    expect(splitter.push(' END more')).toEqual([{ type: 'content', text: ' ' }])
    expect(splitter.stoppedBy).toBe('END')
    expect(splitter.push('ignored')).toEqual([])
    expect(splitter.finish()).toEqual([])
  })

  it('tells while the model reasons', () => {
    const splitter = new AnswerSplitter({ tags })
    splitter.push('<think>x')
    expect(splitter.inReasoning).toBe(true)
    splitter.push('</think>')
    expect(splitter.inReasoning).toBe(false)
  })

  it('gives tag tokens their text when the vocabulary has such tokens', () => {
    const ids = new Map([['<think>', [5]], ['</think>', [6]], ['[THINK]', [1, 2, 3]], ['[/THINK]', [4]]])
    const encode = (text: string): number[] => ids.get(text) ?? []
    expect([...tagTokenTexts(tags, encode)]).toEqual([[5, '<think>'], [6, '</think>']])
    expect([...tagTokenTexts({ start: '[THINK]', end: '[/THINK]' }, encode)]).toEqual([[4, '[/THINK]']])
  })

  it('knows tags by template and prompts that open them', () => {
    expect(reasoningTagsOf('… [THINK]x[/THINK]').start).toBe('[THINK]')
    expect(reasoningTagsOf('nothing')).toEqual(tags)
    expect(promptOpensReasoning('<|Assistant|><think>\n', tags)).toBe(true)
    expect(promptOpensReasoning('<think>\n\n</think>\n\n', tags)).toBe(false)
  })
})
