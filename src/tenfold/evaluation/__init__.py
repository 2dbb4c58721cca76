"""Scores with honest intervals, the leaderboard, and the report made from them."""

from tenfold.evaluation.auc import roc_auc_interval
from tenfold.evaluation.comparison import holm_adjust, mcnemar_p_value
from tenfold.evaluation.content import TARGETS, Inside, ReportInput
from tenfold.evaluation.curves import (
    OperatingPoint,
    PrecisionRecallCurve,
    RocCurve,
    at_threshold,
    precision_recall_curve,
    roc_curve,
    threshold_for,
)
from tenfold.evaluation.cv_results import (
    CvRow,
    CvTable,
    build_cv_table,
    describe_grid,
    write_cv_table,
)
from tenfold.evaluation.figures import draw_figures, save_figures
from tenfold.evaluation.intervals import Interval, wilson_interval
from tenfold.evaluation.leaderboard import Leaderboard, Row, build_leaderboard
from tenfold.evaluation.metrics import EVALUATION_VERSION, Scores, score
from tenfold.evaluation.probabilities import (
    Reliability,
    Verdict,
    list_mistakes,
    list_verdicts,
    measure_reliability,
)
from tenfold.evaluation.report import render
from tenfold.evaluation.row_figures import draw_row
from tenfold.evaluation.selection import (
    RANKINGS,
    accuracy_of,
    choose_best_of_each,
    choose_winner,
)
from tenfold.evaluation.sheets import pick_samples
from tenfold.evaluation.study_tables import describe_study, write_trials
from tenfold.evaluation.style import Picture
from tenfold.evaluation.tables import TIME_COLUMNS, describe_leaderboard, write_csv, write_json

__all__ = [
    "EVALUATION_VERSION",
    "RANKINGS",
    "TARGETS",
    "TIME_COLUMNS",
    "CvRow",
    "CvTable",
    "Inside",
    "Interval",
    "Leaderboard",
    "OperatingPoint",
    "Picture",
    "PrecisionRecallCurve",
    "Reliability",
    "ReportInput",
    "RocCurve",
    "Row",
    "Scores",
    "Verdict",
    "accuracy_of",
    "at_threshold",
    "build_cv_table",
    "build_leaderboard",
    "choose_best_of_each",
    "choose_winner",
    "describe_grid",
    "describe_leaderboard",
    "describe_study",
    "draw_figures",
    "draw_row",
    "holm_adjust",
    "list_mistakes",
    "list_verdicts",
    "mcnemar_p_value",
    "measure_reliability",
    "pick_samples",
    "precision_recall_curve",
    "render",
    "roc_auc_interval",
    "roc_curve",
    "save_figures",
    "score",
    "threshold_for",
    "wilson_interval",
    "write_csv",
    "write_cv_table",
    "write_json",
    "write_trials",
]
