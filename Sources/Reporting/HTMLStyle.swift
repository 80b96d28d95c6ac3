/// The looks of the page and of a timeline that stands alone.
enum HTMLStyle {
    /// Colours by meaning, for a light and a dark surface. Text against its background keeps WCAG 2.2's 4.5 : 1.
    static let colors = """
        :root{color-scheme:light dark;
        --paper:#fbfbf9;--card:#fff;--ink:#1d2530;--soft:#5b6675;--line:#e3e5e3;--grid:#eceeec;
        --phase:#a9b4c2;--sync:#2f9e8f;--freeze:#2f6fed;--freeze-band:#2f6fed1f;--freeze-ink:#1d56c4;
        --good:#1b7f4b;--good-wash:#e3f4ea;--warn:#96610a;--warn-wash:#fbf0da;--bad:#c0392b;--bad-wash:#fbe6e3}
        @media (prefers-color-scheme:dark){:root{
        --paper:#12161c;--card:#1a2029;--ink:#e6eaf0;--soft:#9aa6b5;--line:#2b333f;--grid:#242b36;
        --phase:#5a6778;--sync:#3fb8a7;--freeze:#6ba1ff;--freeze-band:#6ba1ff26;--freeze-ink:#8fb8ff;
        --good:#5fcf94;--good-wash:#173527;--warn:#e5b35a;--warn-wash:#372b14;--bad:#ff8577;--bad-wash:#401f1c}}
        """

    static let timeline = """
        .timeline text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;\
        font-variant-numeric:tabular-nums;fill:var(--soft)}
        .timeline .ground{fill:var(--card)}
        .timeline .name{font-size:13px;fill:var(--ink)}
        .timeline .length{font-size:12.5px;fill:var(--ink)}
        .timeline .sub{font-size:11.5px}
        .timeline .number{font-weight:650;fill:var(--freeze-ink);font-size:12.5px}
        .timeline .grid{stroke:var(--grid);stroke-width:1}
        .timeline .rule{stroke:var(--line);stroke-width:1}
        .timeline .phase{fill:var(--phase)}
        .timeline .broken{fill:var(--bad)}
        .timeline .track{fill:var(--grid)}
        .timeline .sync{fill:var(--sync)}
        .timeline .band{fill:var(--freeze-band)}
        .timeline .edge{stroke:var(--freeze);stroke-width:1;stroke-opacity:.45;stroke-dasharray:2 3}
        .timeline .frozen{fill:var(--freeze)}
        .timeline .leader{stroke:var(--freeze);stroke-width:1;fill:none}
        .timeline .cut{stroke:var(--card);stroke-width:4;fill:none}
        .timeline .tear{stroke:var(--soft);stroke-width:1;stroke-opacity:.7;stroke-linejoin:round;fill:none}
        """

    static let page = """
        *{box-sizing:border-box}
        body{margin:0;background:var(--paper);color:var(--ink);
        font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
        main{max-width:66rem;margin:0 auto;padding:2.75rem 1.5rem 3rem}
        .kicker{margin:0 0 .3rem;color:var(--soft);font-size:.8rem;letter-spacing:.08em;text-transform:uppercase}
        h1{margin:0;font-size:2rem;line-height:1.2;font-weight:680;letter-spacing:-.018em;overflow-wrap:anywhere}
        h1 .way{color:var(--soft);font-weight:400}
        h2{margin:2.4rem 0 .8rem;font-size:1.05rem;font-weight:650;letter-spacing:-.005em}
        .pill{display:inline-block;margin:0 0 0 .6rem;padding:.16rem .65rem;border-radius:99rem;font-size:.8rem;
        font-weight:600;letter-spacing:0;vertical-align:.4em;white-space:nowrap}
        .good{color:var(--good);background:var(--good-wash)}
        .warn{color:var(--warn);background:var(--warn-wash)}
        .bad{color:var(--bad);background:var(--bad-wash)}
        .lead{margin:.7rem 0 0;max-width:54rem;text-wrap:balance;font-size:1.06rem;color:var(--soft)}
        .lead strong{color:var(--ink);font-weight:600}
        .notice{margin:1.4rem 0 0;padding:.85rem 1.1rem;border-radius:.6rem;overflow-wrap:anywhere}
        .notice p{margin:0;color:var(--ink)}
        .notice p+p{margin-top:.3rem}
        .notice code{white-space:normal}
        .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.9rem;margin:1.8rem 0 0}
        .figures div{padding:.9rem 1.1rem 1rem;background:var(--card);border:1px solid var(--line);border-radius:.7rem}
        .figures dt{color:var(--soft);font-size:.83rem}
        .figures dd{margin:.1rem 0 0;font-size:1.55rem;font-weight:640;letter-spacing:-.02em;line-height:1.25;
        font-variant-numeric:tabular-nums}
        .figures .beside{display:block;margin-top:.1rem;color:var(--soft);font-size:.83rem;font-weight:400;
        letter-spacing:0}
        figure{margin:1.8rem 0 0;padding:1.2rem 1.3rem .9rem;background:var(--card);border:1px solid var(--line);
        border-radius:.7rem}
        figure svg{display:block;width:100%;height:auto}
        figure .narrow{display:none}
        figcaption{display:flex;flex-wrap:wrap;gap:.2rem 1.3rem;margin:.7rem 0 0;padding:.7rem 0 0;
        border-top:1px solid var(--line);color:var(--soft);font-size:.83rem}
        .key::before{content:"";display:inline-block;width:.8rem;height:.55rem;margin-right:.45rem;border-radius:.15rem}
        .key.is-phase::before{background:var(--phase)}
        .key.is-sync::before{background:var(--sync)}
        .key.is-frozen::before{background:var(--freeze)}
        .key.is-broken::before{background:var(--bad)}
        .columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:0 1.6rem;
        align-items:start}
        .table{margin:1.8rem 0 0;overflow-x:auto}
        table{width:100%;border-collapse:collapse;font-size:.93rem;font-variant-numeric:tabular-nums}
        caption{padding:0 0 .55rem;text-align:left;font-size:1.05rem;font-weight:650}
        th,td{padding:.45rem .9rem .45rem 0;border-bottom:1px solid var(--line);text-align:left;font-weight:400;
        vertical-align:top}
        tr>:last-child{padding-right:0}
        thead th{padding-top:0;color:var(--soft);font-size:.83rem;white-space:nowrap}
        tbody th{font-weight:600;overflow-wrap:anywhere}
        tfoot th,tfoot td{border-bottom:0;font-weight:600}
        .number{text-align:right;white-space:nowrap}
        .soft{color:var(--soft)}
        .yes{color:var(--good);font-weight:600;white-space:nowrap}
        .no{color:var(--bad);font-weight:600;white-space:nowrap}
        .frozen-length{color:var(--freeze-ink);font-weight:650}
        code,.sum{font:.88em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
        .sum{display:block;color:var(--soft);word-break:break-all}
        td .beside,th .beside{display:block;color:var(--soft);font-size:.88em;font-weight:400}
        footer{margin:2.6rem 0 0;padding:1rem 0 0;border-top:1px solid var(--line);color:var(--soft);font-size:.83rem;
        overflow-wrap:anywhere}
        footer p{margin:0}
        @media (max-width:40rem){main{padding:1.7rem 1rem 2rem}h1{font-size:1.6rem}
        .pill{display:table;margin:.6rem 0 0}
        .figures{grid-template-columns:1fr 1fr;gap:.6rem}.figures div{padding:.7rem .85rem}
        .figures dd{font-size:1.25rem}
        figure{padding:1rem .9rem .8rem}figure .wide{display:none}figure .narrow{display:block}
        table{font-size:.88rem}th,td{padding-right:.7rem}}
        @media print{body{background:#fff}main{max-width:none;padding:0}figure,.table{break-inside:avoid}}
        """
}
