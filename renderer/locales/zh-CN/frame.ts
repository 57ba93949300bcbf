export const common = {
  close: '关闭', cancel: '取消', save: '保存', undo: '撤销', copied: '已复制', delete: '删除', rename: '重命名',
  details: '详细信息', copyDetails: '复制详细信息', dismiss: '知道了', yes: '是', no: '否', add: '添加',
  reloadPage: '重新加载窗口', tryAnyway: '仍然加载',
}

export const units = {
  milliseconds: '{value} 毫秒', seconds: '{value} 秒', minutes: '{minutes} 分 {seconds} 秒', tokensPerSecond: '{value} tok/s', read: '已读取 {done}，共 {total}', readAtSpeed: '已读取 {done}，共 {total}，{speed}/秒',
}

export const nav = { label: '面板', skip: '跳到内容', chat: '聊天', models: '模型', server: '服务器', settings: '设置', palette: '命令' }

export const status = {
  label: '状态', noModel: '未加载模型', loading: '正在加载 {name}，{percent}', unloading: '正在卸载 {name}',
  device: '处理器与指令集', memory: '可用 {available}，共 {total}', memoryLabel: '本机可用内存',
  speed: '解码速度', serverOff: '服务器已关闭', serverOn: '服务器端口 {port}', serverStarting: '服务器正在启动', serverFailed: '服务器启动失败',
  more: '{name} 以及另外 {n} 个', openModels: '打开模型面板', openServer: '打开服务器面板',
}

export const palette = {
  title: '命令', placeholder: '搜索命令、对话和模型', empty: '没有与“{query}”匹配的内容。',
  groupActions: '操作', groupChats: '对话', groupModels: '模型', groupTheme: '主题', groupLanguage: '语言',
  newChat: '新对话', importModel: '导入模型', goTo: '前往{panel}', stop: '停止回答', regenerate: '重新生成上一个回答',
  toggleStrip: '显示或隐藏路由条', toggleList: '显示或隐藏对话列表', toggleServer: '启动或停止服务器',
  chatWith: '与 {name} 对话', load: '加载 {name}', unload: '卸载 {name}', theme: '主题：{name}', language: '语言：{name}',
  copyUrl: '复制服务器地址',
}

export const shortcuts = {
  palette: '打开命令面板', newChat: '新对话', search: '搜索对话', panelChat: '前往聊天', panelModels: '前往模型', panelServer: '前往服务器',
  settings: '前往设置', stop: '停止回答', regenerate: '重新生成上一个回答', toggleReasoning: '显示或隐藏思考过程',
  toggleStrip: '显示或隐藏路由条', toggleList: '显示或隐藏对话列表',
}

export const connection = {
  connecting: '正在连接工作台', lostTitle: '与主机的连接已断开',
  lostText: '正在尝试重新连接。您的对话已保存；正在生成的回答可能会中断。', lostReason: '原因：{reason}',
  lostBrowser: '如果 Moebius 已重新启动，请打开它输出的地址。',
  restored: '与主机的连接已恢复。', noticeTitle: '主机曾意外退出并已重新启动', startHost: '启动主机', hostlessTitle: '主机无法保持运行', showLog: '显示日志', hideLog: '隐藏日志',
  mismatchTitle: '窗口与主机版本不一致', mismatchText: '更新之后可能出现这种情况。请重新加载窗口；如果无效，请重新启动 Moebius。',
  refusedText: '请打开 serve 命令输出的地址：其中包含访问令牌。',
}

export const drop = {
  title: '松开以添加模型', textPath: '文件保留在原处，Moebius 直接读取。',
  textBrowser: '浏览器不会透露文件的位置。随后您可以在主机上选择该文件。',
}

export const importing = {
  busy: '正在读取模型文件', added: '已添加“{name}”。 | 已添加 {n} 个模型。', undo: '撤销', problemTitle: '此文件无法使用 | {n} 个文件无法使用', removed: '“{name}”已从列表中移除，文件未受影响。',
  atByte: '位于第 {offset} 字节', pick: '添加模型',
}

export const browser = {
  title: '选择主机上的模型', why: '浏览器不会透露拖放文件的位置，而通过浏览器复制数 GB 的数据会很慢。请直接在主机上选择文件。',
  dropped: '您拖放了：{names}', up: '上级文件夹', folder: '文件夹', empty: '这里没有文件夹，也没有 .gguf 文件。', addFolder: '添加此文件夹中的全部模型',
  path: '主机上的文件夹', list: '文件夹内容',
}

export const errors = {
  E_BAD_REQUEST: { title: '无法理解该请求', next: '请检查各项数值后重试。' },
  E_SCHEMA: { title: '数值超出范围', next: '请检查各项数值后重试。' },
  E_GRAMMAR: { title: '语法有错误', next: '请更正语法后重试。' },
  E_CONTEXT_LENGTH: { title: '对话超出上下文长度', next: '请新建对话、缩短消息，或在设置中以更长的上下文加载模型。' },
  E_AUTH: { title: '没有访问权限', next: '请重新打开带有访问令牌的地址。' },
  E_SCOPE: { title: '不允许此操作', next: '此访问令牌不允许该操作。' },
  E_HOST: { title: '不允许使用该地址', next: '请使用 localhost 或本机地址。' },
  E_ORIGIN: { title: '该页面无权访问', next: '请从主机输出的地址打开窗口。' },
  E_NOT_FOUND: { title: '未找到', next: '它可能已被移动或删除。' },
  E_MODEL_UNKNOWN: { title: '列表中没有该模型', next: '请选择其他模型，或重新添加文件。' },
  E_CONFLICT: { title: '正在被占用', next: '请等待当前任务结束后重试。' },
  E_BUSY_TRAINING: { title: '训练任务正在占用设备', next: '请等待其结束，或先将其停止。' },
  E_TOO_LARGE: { title: '内容过大', next: '请缩小后重试。' },
  E_UNSUPPORTED: { title: '不支持', next: '换一个文件或程序版本也许可行。' },
  E_QUEUE_FULL: { title: '等待中的请求过多', next: '请稍后重试。' },
  E_LOADING: { title: '模型仍在加载', next: '请在加载完成后重试。' },
  E_MEMORY: { title: '内存不足', next: '请卸载其他模型，在设置中选择更短的上下文或更小的缓存格式，或者仍然加载。' },
  E_DEVICE_LOST: { title: '设备停止响应', next: '请重新加载模型。' },
  E_GGUF: { title: '模型文件已损坏或不是 GGUF 文件', next: '请重新下载或复制该文件，并与原文件核对大小。' },
  E_SHARD_MISSING: { title: '模型缺少部分文件', next: '请将所有分片放入同一文件夹后重新添加。' },
  E_NATIVE: { title: '引擎报告了故障', next: '请重试；如果问题仍在，请复制详细信息用于报告。' },
  E_HOST_LOST: { title: '主机已退出', next: '主机正在重新启动，请稍后重试。' },
  E_IO: { title: '读写失败', next: '请检查磁盘是否已连接，以及文件是否可读。' },
  E_DISK_FULL: { title: '磁盘已满', next: '请释放一些空间后重试。' },
  E_INTERNAL: { title: 'Moebius 出现错误', next: '请重试；如果问题仍在，请复制详细信息用于报告。' },
  E_CANCELLED: { title: '已停止', next: '' },
  E_GAP: { title: '实时视图落后了', next: '正在重新加载。' },
  E_VERSION: { title: '窗口与主机版本不一致', next: '请重新加载窗口。' },
  E_TIMEOUT: { title: '未在规定时间内得到答复', next: '请重试。' },
}
