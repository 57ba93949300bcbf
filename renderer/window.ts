import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './App.vue'
import { createTranslations } from './locales'
import { createWindowRouter } from './router'
import { openWorkbench } from './stores/connection'
import './styles/tokens.css'
import './styles/base.css'

export function openWindow(): void {
  openWorkbench()
  createApp(App).use(createPinia()).use(createWindowRouter()).use(createTranslations()).mount('#app')
}
