"""The figures of the GPU as they are printed."""

from collections.abc import Sequence

from perf.result import Figures


def table(rows: Sequence[Figures]) -> str:
    return "\n".join([*learner_lines(rows), "", *change_lines(rows), "", *transfer_lines(rows)])


def learner_lines(rows: Sequence[Figures]) -> list[str]:
    head = f"{'':<18}{'step s':>8}{'learn s':>9}{'sync s':>8}{'tokens/s':>10}{'MFU':>7}"
    lines = []
    for row in rows:
        if "step_s" in row:
            phases = row.get("phase_s", {"learn": row["step_s"]})
            share = row.get("learn_mfu", row["step_mfu"])
            pace = (
                ""
                if "efficiency" not in row
                else f"  staleness {row['max_staleness']}: {row['efficiency']:.2f} of the limit"
            )
            lines.append(
                f"{row['size']:<6}{row['measurement']:<12}{row['step_s']:>8.3f}{phases['learn']:>9.3f}"
                f"{phases.get('weight_sync', 0.0):>8.3f}{row['tokens_per_s']:>10}{share:>7.1%}{pace}"
            )
    return [head, *lines]


def change_lines(rows: Sequence[Figures]) -> list[str]:
    head = f"{'':<6}{'rate':>8}{'changed':>9}{'of bytes':>9}{'gather s':>9}{'pinned s':>9}{'device s':>9}{'host s':>8}"
    lines = [
        f"{row['size']:<6}{rate['learning_rate']:>8.0e}{rate['changed_share']:>9.2%}{rate['delta_share_of_bytes']:>9.1%}"
        f"{rate['gather_s']:>9.3f}{rate['pinned_copy_s']:>9.3f}{rate['changes_on_device_s']:>9.3f}"
        f"{rate['changes_on_host_s']:>8.3f}"
        for row in rows
        for rate in row.get("rates", ())
    ]
    return [head, *lines]


def transfer_lines(rows: Sequence[Figures]) -> list[str]:
    head = f"{'':<6}{'mode':>8}{'generators':>12}{'MB':>9}{'publish s':>11}{'all s':>8}{'pause s':>9}"
    lines = [
        f"{row['size']:<6}{transfer['mode']:>8}{transfer['generators']:>12}{transfer['bytes'] / 1e6:>9.1f}"
        f"{transfer['publish_s']:>11.3f}{transfer['seconds']:>8.3f}{transfer['pause_s']:>9.3f}"
        for row in rows
        for transfer in row.get("transfers", ())
    ]
    return [head, *lines]
