/** The whole look of the page, light and dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ink: #1f2328; --soft: #59636e; --paper: #fff; --box: #f4f6f8; --line: #d1d9e0; --edge: #818b98;
  --accent: #0d6b58; --good: #1a7f37; --warn: #8a5a00; --bad: #c21f2c; --on: #fff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --soft: #a3adb8; --paper: #14171b; --box: #1d2127; --line: #363c45; --edge: #79828d;
    --accent: #4fd1b5; --good: #4ac26b; --warn: #e0b23c; --bad: #ff7b72; --on: #14171b;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
header, main { max-width: 1000px; margin: 0 auto; padding: 0 20px }
header { padding-top: 24px }
h1 { font-size: 26px; margin: 0 }
h2 { font-size: 18px; margin: 0 0 12px }
h3 { font-size: 16px; margin: 28px 0 8px }
section { margin: 28px 0 }
.note { color: var(--soft); font-size: 14px; margin: 8px 0 0 }
#counts { display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 8px; margin: 0 }
#counts div { background: var(--box); border-radius: 8px; padding: 10px 12px; display: flex; flex-direction: column-reverse }
#counts dt { color: var(--soft); font-size: 14px }
#counts dd { margin: 0; font-size: 22px; font-variant-numeric: tabular-nums }
#counts .alarm dd { color: var(--bad); font-weight: 600 }
#counts small { font-size: 13px; color: var(--soft); margin-left: 6px }
form#find { display: flex; flex-wrap: wrap; gap: 8px; align-items: center }
label { font-weight: 600 }
input { flex: 1 1 220px; min-width: 0 }
input, button { font: inherit; color: inherit; padding: 7px 12px; border: 1px solid var(--edge); border-radius: 6px; background: var(--paper) }
button { cursor: pointer; background: var(--box) }
form#find button { background: var(--accent); border-color: var(--accent); color: var(--on); font-weight: 600 }
button.danger { color: var(--bad); border-color: var(--bad) }
button:disabled { opacity: .6; cursor: default }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
#said { min-height: 1.5em; margin: 0; color: var(--soft) }
#said.wrong { color: var(--bad) }
.bar { display: flex; flex-wrap: wrap; gap: 12px; justify-content: space-between; align-items: baseline }
.bar h2 { overflow-wrap: anywhere; min-width: 0 }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 12px }
li.card { border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; min-width: 0 }
.card h3 { margin: 0; overflow-wrap: anywhere }
.card .bar { flex-wrap: nowrap }
.card .bar button { flex: none }
.card .bar h3 { min-width: 0 }
#result > .bar { margin-bottom: 8px }
.facts { color: var(--soft); font-size: 14px; margin: 4px 0 0; overflow-wrap: anywhere }
.picture { overflow-x: auto; margin: 8px 0 0 }
.picture svg { display: block }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; text-anchor: middle }
svg .node { fill: var(--box); stroke: var(--edge); stroke-width: 1.5 }
svg .current { stroke: var(--good); stroke-width: 3 }
svg .line { fill: none; stroke: var(--edge); stroke-width: 1.5 }
svg .gap { stroke-dasharray: 3 4 }
svg .again { fill: none; stroke: var(--warn); stroke-width: 1.5 }
svg text.again { fill: var(--warn); stroke: none; font-size: 12px }
svg .healed { stroke: var(--warn); stroke-dasharray: 4 3 }
svg .theft { fill: none; stroke: var(--bad); stroke-width: 2 }
svg text.theft { fill: var(--bad); stroke: none; font-size: 12px }
svg .end { stroke: var(--edge); stroke-width: 4 }
svg .end.stolen { stroke: var(--bad) }
details { margin-top: 8px; font-size: 14px }
summary { cursor: pointer; color: var(--soft) }
details ol { margin: 6px 0 0; padding-left: 22px }
dialog { max-width: 440px; border: 1px solid var(--edge); border-radius: 10px; background: var(--paper); color: var(--ink); padding: 20px }
dialog::backdrop { background: rgb(0 0 0 / 50%) }
dialog form { display: flex; justify-content: flex-end; gap: 8px }
`
