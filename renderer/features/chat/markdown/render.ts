// Markdown of a model is hostile: raw HTML is text, links do nothing until confirmed, and no
// image is ever fetched. What markdown-it makes is sanitised again before it is shown.
import DOMPurify from 'dompurify'
import MarkdownIt from 'markdown-it'

export const markdown = new MarkdownIt({ html: false, linkify: true, typographer: false, breaks: false })
// Guessing addresses in running text makes links out of file names.
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false })

const escape = markdown.utils.escapeHtml

markdown.renderer.rules.link_open = (tokens, index) => {
  const address = String(tokens[index]?.attrGet('href') ?? '')
  return `<button type="button" class="inert-link" data-address="${escape(address)}" title="${escape(address)}">`
}
markdown.renderer.rules.link_close = () => '</button>'
markdown.renderer.rules.image = (tokens, index) => {
  const token = tokens[index]
  const address = String(token?.attrGet('src') ?? '')
  return `<button type="button" class="inert-image" data-address="${escape(address)}">${escape(token?.content || address)}</button>`
}
markdown.renderer.rules.table_open = () => '<div class="table-wrap" tabindex="0"><table>'
markdown.renderer.rules.table_close = () => '</table></div>'

const allowed = {
  ALLOWED_TAGS: ['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'blockquote', 'ul', 'ol', 'li', 'pre', 'code', 'em', 'strong', 's', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'button', 'div'],
  ALLOWED_ATTR: ['class', 'type', 'data-address', 'title', 'start', 'tabindex'],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
}

export function renderMarkdown(source: string): string {
  return DOMPurify.sanitize(markdown.render(source), { ...allowed, ADD_ATTR: ['data-address'] })
}
