import { createRouter, createWebHashHistory, type Router } from 'vue-router'

// Panels that exist; each is fetched when it is first opened. Hash addresses work under
// app:// and below any path of a server.
export const panels = ['chat', 'models', 'server', 'settings'] as const
export type Panel = typeof panels[number]

export function createWindowRouter(): Router {
  return createRouter({
    history: createWebHashHistory(),
    routes: [
      { path: '/', redirect: '/chat' },
      { path: '/chat/:conversationId?', name: 'chat', component: () => import('./features/chat/ChatView.vue') },
      { path: '/models/:modelId?', name: 'models', component: () => import('./features/models/ModelsView.vue') },
      { path: '/server', name: 'server', component: () => import('./features/server/ServerView.vue') },
      { path: '/settings', name: 'settings', component: () => import('./features/settings/SettingsView.vue') },
      { path: '/:rest(.*)*', redirect: '/chat' },
    ],
  })
}
