import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { TooltipProvider } from 'reka-ui'
import { defineComponent, h, type Component } from 'vue'
import { createMemoryHistory, createRouter, type Router } from 'vue-router'
import { provideWorkbench } from '../../renderer/api/workbench'
import { createTranslations } from '../../renderer/locales'
import { createFakeWorkbench, type FakeWorkbench } from './fake-workbench'

const Nothing = defineComponent({ render: () => h('div') })

export function startFake(): FakeWorkbench {
  const fake = createFakeWorkbench()
  provideWorkbench(fake)
  setActivePinia(createPinia())
  return fake
}

export interface Mounted { wrapper: VueWrapper, router: Router }

// A component of the window with everything around it but the host.
export async function mountInWindow(component: Component, options: { props?: Record<string, unknown>, path?: string } = {}): Promise<Mounted> {
  const pinia = createPinia()
  setActivePinia(pinia)
  const router = createRouter({
    history: createMemoryHistory(),
    routes: [
      { path: '/chat/:conversationId?', name: 'chat', component: Nothing }, { path: '/models/:modelId?', name: 'models', component: Nothing },
      { path: '/server', name: 'server', component: Nothing }, { path: '/settings', name: 'settings', component: Nothing },
    ],
  })
  await router.push(options.path ?? '/chat')
  const wrapper = mount(defineComponent({ render: () => h(TooltipProvider, () => h(component, options.props)) }), {
    global: { plugins: [pinia, router, createTranslations()] }, attachTo: document.body,
  })
  await flushPromises()
  return { wrapper, router }
}

export function buttonNamed(name: string): HTMLElement {
  const found = [...document.querySelectorAll<HTMLElement>('button, [role="menuitem"], a')]
    .find(element => (element.getAttribute('aria-label') ?? element.textContent).trim().startsWith(name))
  if (!found) throw new Error(`No button "${name}" in: ${[...document.querySelectorAll('button')].map(button => button.getAttribute('aria-label') ?? button.textContent.trim()).join(' | ')}`)
  return found
}
