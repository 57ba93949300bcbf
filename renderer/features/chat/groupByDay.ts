import type { ConversationSummary } from '../../../electron/contract'

export type DayGroup = 'today' | 'yesterday' | 'lastWeek' | 'older'

// Groups follow calendar days of this machine, newest first.
export function groupByDay(chats: readonly ConversationSummary[], now: number): { id: DayGroup, chats: ConversationSummary[] }[] {
  const midnight = new Date(now)
  midnight.setHours(0, 0, 0, 0)
  const daysAgo = (days: number): number => new Date(midnight).setDate(midnight.getDate() - days)
  const groupOf = (at: number): DayGroup => at >= midnight.getTime() ? 'today' : at >= daysAgo(1) ? 'yesterday' : at >= daysAgo(7) ? 'lastWeek' : 'older'
  const order: DayGroup[] = ['today', 'yesterday', 'lastWeek', 'older']
  return order.map(id => ({ id, chats: chats.filter(chat => groupOf(chat.updatedAt) === id) })).filter(group => group.chats.length > 0)
}
