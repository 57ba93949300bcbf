import { computed, type ComputedRef } from 'vue'
import { useI18n } from 'vue-i18n'
import { useRouter } from 'vue-router'
import type { IconName } from '../components/icons'
import { copyText } from '../composables/useCopy'
import { keysOf, type ShortcutId } from '../composables/useShortcuts'
import { panels } from '../router'
import { useConnectionStore } from '../stores/connection'
import { useConversationListStore } from '../stores/conversation-list'
import { useConversationStore } from '../stores/conversations'
import { useEngineStore } from '../stores/engine'
import { useFrameStore } from '../stores/frame'
import { useImportStore } from '../stores/importing'
import { useModelStore } from '../stores/models'
import { useServerStore } from '../stores/server'
import { useSettingsStore } from '../stores/settings'

export type CommandGroup = 'groupActions' | 'groupChats' | 'groupModels' | 'groupTheme' | 'groupLanguage'
export interface Command { id: string, group: CommandGroup, label: string, icon: IconName, keys?: string, run: () => void }

const groupOrder: readonly CommandGroup[] = ['groupActions', 'groupChats', 'groupModels', 'groupTheme', 'groupLanguage']
const chatsWithoutQuery = 6

// Every action of the window, as one flat list.
export function useCommands(): ComputedRef<Command[]> {
  const frameCommands = useFrameCommands()
  const modelCommands = useModelCommands()
  const settings = useSettingsStore()
  const list = useConversationListStore()
  const router = useRouter()
  const { t } = useI18n()

  return computed(() => [
    ...frameCommands.value,
    ...list.summaries.map((chat): Command => ({
      id: `chat:${chat.id}`, group: 'groupChats', icon: 'chat', label: chat.title || t('chat.untitled'), run: () => { void router.push(`/chat/${chat.id}`) },
    })),
    ...modelCommands.value,
    ...(['system', 'light', 'dark', 'contrast'] as const).map((theme): Command => ({
      id: `theme:${theme}`, group: 'groupTheme', icon: 'sun', label: t('palette.theme', { name: t(`settings.theme_${theme}`) }), run: () => { void settings.update({ theme }) },
    })),
    ...(['system', 'en', 'zh-CN'] as const).map((locale): Command => ({
      id: `locale:${locale}`, group: 'groupLanguage', icon: 'globe', label: t('palette.language', { name: t(`settings.locale_${locale}`) }), run: () => { void settings.update({ locale }) },
    })),
  ])
}

function useFrameCommands(): ComputedRef<Command[]> {
  const { t } = useI18n()
  const router = useRouter()
  const connection = useConnectionStore()
  const frame = useFrameStore()
  const settings = useSettingsStore()
  const server = useServerStore()
  const importing = useImportStore()
  const conversations = useConversationStore()
  const panelShortcuts: Record<typeof panels[number], ShortcutId> = { chat: 'panelChat', models: 'panelModels', server: 'panelServer', settings: 'settings' }

  return computed(() => {
    const action = (id: string, icon: IconName, label: string, run: () => void, shortcut?: ShortcutId): Command =>
      ({ id, group: 'groupActions', icon, label, run, ...(shortcut && { keys: keysOf(shortcut, connection.desktop) }) })
    const running = server.status?.state === 'running'
    return [
      action('newChat', 'plus', t('palette.newChat'), () => { void router.push('/chat/new') }, 'newChat'),
      action('import', 'drop', t('palette.importModel'), () => { void importing.pick() }),
      ...(conversations.answering ? [action('stop', 'stop', t('palette.stop'), () => { void conversations.stop() }, 'stop')] : []),
      ...(conversations.path.length > 1 ? [action('regenerate', 'refresh', t('palette.regenerate'), () => { frame.run('regenerate') }, 'regenerate')] : []),
      action('strip', 'strip', t('palette.toggleStrip'), () => { if (!frame.run('toggleStrip')) void settings.update({ showRoutingStrip: !settings.values?.showRoutingStrip }) }, 'toggleStrip'),
      action('list', 'sidebar', t('palette.toggleList'), () => { frame.listOpen = !frame.listOpen }, 'toggleList'),
      action('server', 'server', t('palette.toggleServer'), () => { void (running ? server.stop() : server.start()) }),
      ...(running && server.status?.urls[0] ? [action('copyUrl', 'copy', t('palette.copyUrl'), () => { void copyText(server.status?.urls[0] ?? '') })] : []),
      ...panels.map(panel => action(`panel:${panel}`, panel, t('palette.goTo', { panel: t(`nav.${panel}`) }), () => { void router.push(`/${panel}`) }, panelShortcuts[panel])),
    ]
  })
}

function useModelCommands(): ComputedRef<Command[]> {
  const { t } = useI18n()
  const router = useRouter()
  const engine = useEngineStore()
  const models = useModelStore()
  const settings = useSettingsStore()

  return computed(() => models.usable.flatMap((model): Command[] => {
    const name = model.card?.name || model.id
    const loaded = engine.loadedModel(model.id)?.state === 'ready'
    const chat = (): void => { void settings.update({ lastModelId: model.id }); void router.push('/chat/new') }
    return [
      { id: `use:${model.id}`, group: 'groupModels', icon: 'chat', label: t('palette.chatWith', { name }), run: chat },
      loaded
        ? { id: `unload:${model.id}`, group: 'groupModels', icon: 'eject', label: t('palette.unload', { name }), run: () => { void models.unload(model.id) } }
        : { id: `load:${model.id}`, group: 'groupModels', icon: 'play', label: t('palette.load', { name }), run: () => { void models.load(model.id) } },
    ]
  }))
}

// All words of the query have to occur; without one, only the latest chats are listed.
export function matchCommands(commands: readonly Command[], query: string): { id: CommandGroup, commands: Command[] }[] {
  const words = query.toLocaleLowerCase().split(/\s+/).filter(Boolean)
  const fits = (command: Command): boolean => words.every(word => command.label.toLocaleLowerCase().includes(word))
  return groupOrder.map(id => {
    const all = commands.filter(command => command.group === id && fits(command))
    return { id, commands: id === 'groupChats' && words.length === 0 ? all.slice(0, chatsWithoutQuery) : all.slice(0, 50) }
  }).filter(group => group.commands.length > 0)
}
