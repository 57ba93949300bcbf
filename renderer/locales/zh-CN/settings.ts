export const settings = {
  title: '设置', appearance: '外观', theme: '主题', theme_system: '跟随系统', theme_light: '浅色', theme_dark: '深色', theme_contrast: '高对比度', language: '语言', locale_system: '跟随系统', locale_en: 'English', 'locale_zh-CN': '简体中文',
  motion: '减少动态效果', motion_system: '跟随系统', motion_on: '开', motion_off: '关', strip: '在聊天旁显示路由条', stripHint: '只在模型生成时绘制。',

  engine: '引擎', engineHint: '下次加载模型时生效。', threads: '线程数', threadsHint: '0 表示使用全部 {n} 个物理核心。', context: '上下文长度', contextHint: '以 token 计。0 表示采用模型自身的长度，以内存允许为限。',
  cacheFormat: '缓存格式', cacheFormatHint: '较小的格式可以容纳更长的上下文，但会损失一些精度。', exact: '精确激活', exactHint: '以全精度激活计算：较慢，用于比较结果。',
  bf16Attention: '近似的提示词注意力（bfloat16）', bf16AttentionHint: '更快地读取长提示词；查询、键和值会舍入到 8 位。生成回答时不做舍入。启用精确激活时不起作用。', bf16AttentionMissing: '此处理器没有 bfloat16 点积指令。',

  calibration: '本机极限', calibrationText: '以引擎的线程数和指令集测得。Moebius 显示的各项占比均以这些数值为分母。', peakRead: '内存读取', peakInt8: 'Int8 点积', peakF32: '浮点乘加', peakBf16: 'BFloat16 点积',
  tiles: '预填充分块相乘', tilesFrom: '{n} 列起', tilesFromTo: '{least} 至 {most} 列起，因格式而异', mlaKeys: 'MLA 展开键', mlaFrom: '在 {history} 个 token 之后，约 {n} 个提示 token 起', mlaNever: '在 {history} 个 token 之后从不展开',
  thresholdDetails: '按格式查看', thresholdText: '列数（共用同一矩阵的 token 数）较少时，逐行读取权重更快。此后加载的模型使用这些数值；已加载的模型保持原值。', columns: '起始列数', formats: '格式', mlaCost: '潜空间注意力中一次运算的耗时是展开键时的 {cost} 倍（DeepSeek-V2 的注意力头）。',
  measureAgain: '重新测量', measuring: '正在测量：占用全部线程数秒……', measureWaiting: '正在等待进行中的回答结束……', measureFailed: '未能测量本机', measuredAt: '测量于 {date} · {device} · {level} · {threads} 个线程',

  defaults: '新对话', systemPrompt: '系统提示词', systemPromptHint: '在每个新对话开始时告诉模型的内容。', temperature: '温度', maxTokens: '回答长度上限', maxTokensHint: '以 token 计。0 表示用完剩余的上下文。',

  server: '服务器', serverEnabled: '随 Moebius 启动服务器', serverEnabledHint: '否则从服务器面板启动。', serverPort: '端口', requireToken: '要求令牌',

  shortcuts: '键盘快捷键', shortcutsText: '此窗口的全部快捷键。', action: '操作', keys: '按键', composerSend: '发送消息', composerLine: '在消息中换行',
  data: '数据', dataFolderHint: '对话、设置和日志。模型文件保留在原处。', openFolder: '打开文件夹', copyPath: '复制路径',
  about: '关于', version: '版本', host: '运行方式', host_electron: '桌面应用', host_serve: 'serve，在浏览器中', host_cli: '命令行', node: 'Node', engineVersion: '引擎', backends: '计算设备', available: '可用', unavailable: '不可用', levels: '指令集',
  licences: '以 MIT 许可证开源。', privacy: '除非您要求，Moebius 不会通过网络发送任何内容。',
  resetTitle: '重置所有设置', resetText: '对话和模型会保留。', resetButton: '重置设置', resetDone: '所有设置已恢复默认值。', saveFailed: '设置未能保存',
}
