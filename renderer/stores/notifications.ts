import { defineStore } from 'pinia'
import { ref } from 'vue'

export interface Notification {
  id: number
  text: string
  tone: 'neutral' | 'success' | 'danger'
  action?: { label: string, run: () => void }
}

// Short messages at the edge of the window. Those with an action stay longer.
export const useNotificationStore = defineStore('notifications', () => {
  const items = ref<Notification[]>([])
  let nextId = 1

  function show(notification: Omit<Notification, 'id'>): number {
    const id = nextId++
    items.value = [...items.value.slice(-3), { ...notification, id }]
    return id
  }
  function dismiss(id: number): void { items.value = items.value.filter(item => item.id !== id) }
  function act(notification: Notification): void {
    dismiss(notification.id)
    notification.action?.run()
  }

  return { items, show, dismiss, act }
})
