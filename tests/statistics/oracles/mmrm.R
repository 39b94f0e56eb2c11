# Reference fits of incomplete data: REML, unstructured within-subject covariance, by nlme::gls.
# Run from this folder after make_data.py: Rscript mmrm.R
# Writes satterthwaite_R.csv (lmerTest) and mmrm_R.csv: arm contrasts at the last visit, estimate and standard error, and -2 REML log-likelihood.
library(nlme)
out <- NULL
for (name in c("a", "b", "c", "d")) {
  d <- read.csv(paste0("mmrm_", name, ".csv"))
  d$arm <- factor(d$arm); d$fvisit <- factor(d$visit); d$subject <- factor(d$subject)
  d <- d[order(d$subject, d$visit), ]
  for (kind in c("UN", "CSH", "CS")) {
    correlation <- if (kind == "UN") corSymm(form = ~ visit | subject) else corCompSymm(form = ~ visit | subject)
    weights <- if (kind == "CS") NULL else varIdent(form = ~ 1 | fvisit)
    fit <- gls(ly ~ 0 + fvisit:arm + fvisit:lbase, data = d, method = "REML", correlation = correlation,
               weights = weights, na.action = na.omit,
               control = glsControl(tolerance = 1e-10, msTol = 1e-12, maxIter = 500, msMaxIter = 500, apVar = FALSE))
    beta <- coef(fit); V <- vcov(fit); last <- max(d$visit)
    at <- function(a) match(paste0("fvisit", last, ":arm", a), names(beta))
    for (pair in list(c("A", "B"), c("A", "C"), c("B", "C"))) {
      L <- rep(0, length(beta)); L[at(pair[1])] <- -1; L[at(pair[2])] <- 1
      out <- rbind(out, data.frame(set = name, covariance = kind, first = pair[1], second = pair[2],
        estimate = sum(L * beta), se = sqrt(drop(t(L) %*% V %*% L)), minus2 = -2 * as.numeric(logLik(fit))))
    }
  }
}
# Satterthwaite degrees of freedom: compound symmetry with a positive correlation is a random intercept, which lmerTest fits.
suppressMessages(library(lmerTest))
dfs <- NULL
for (name in c("a", "b", "c")) {
  d <- read.csv(paste0("mmrm_", name, ".csv"))
  d$arm <- factor(d$arm); d$fvisit <- factor(d$visit)
  fit <- lmer(ly ~ 0 + fvisit:arm + fvisit:lbase + (1 | subject), data = d, REML = TRUE,
              control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10)))
  last <- max(d$visit); names_ <- names(fixef(fit))
  at <- function(a) match(paste0("fvisit", last, ":arm", a), names_)
  L <- matrix(0, 2, length(names_)); L[1, at("A")] <- L[2, at("A")] <- -1; L[1, at("B")] <- L[2, at("C")] <- 1
  one <- contest(fit, L[1, ], joint = FALSE); two <- contest(fit, L[2, ], joint = FALSE); both <- contest(fit, L, joint = TRUE)
  dfs <- rbind(dfs, data.frame(set = name, df_ab = one$df, df_ac = two$df, f = both[["F value"]], ddf = both[["DenDF"]]))
}
write.csv(format(dfs, digits = 12), "satterthwaite_R.csv", row.names = FALSE, quote = FALSE)
write.csv(format(out, digits = 12), "mmrm_R.csv", row.names = FALSE, quote = FALSE)
cat(R.version.string, "nlme", as.character(packageVersion("nlme")),
    "lmerTest", as.character(packageVersion("lmerTest")), "\n")
