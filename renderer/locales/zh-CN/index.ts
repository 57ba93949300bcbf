import { chat } from './chat'
import { browser, common, connection, drop, errors, importing, nav, palette, shortcuts, status, units } from './frame'
import { models } from './models'
import { server } from './server'
import { settings } from './settings'

export default { common, units, nav, status, palette, shortcuts, connection, drop, importing, browser, errors, chat, models, server, settings }
