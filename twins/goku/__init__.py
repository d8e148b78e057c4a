"""GOKU: infer the parameters of an equation of known form from measured traces.

References: Linial, Ravid, Eytan, Shalit, "Generative ODE modeling with known unknowns" (CHIL 2021); Abrevaya et al.,
"Effective Latent Differential Equation Models via Attention and Multiple Shooting" (TMLR 2024).
"""
